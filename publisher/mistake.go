package publisher

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrJobFile is wrapped by every error about what a job file says.
var ErrJobFile = errors.New("job file cannot be used")

// maxMistakes is how many mistakes one error lists.
const maxMistakes = 20

// Mistake is one thing that is wrong with a job file, with what to do about it.
type Mistake struct {
	Line int // from 1; 0 where it is about no line
	Text string
	err  error // behind it; nil where the file itself is wrong
}

// JobFileError is everything that is wrong with a job file.
type JobFileError struct {
	Path     string
	Mistakes []Mistake // in the order of their lines
}

// Error lists all mistakes, one a line, in the form path:line: text.
func (e *JobFileError) Error() string {
	var b strings.Builder
	for i, m := range e.Mistakes {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == maxMistakes {
			fmt.Fprintf(&b, "%s: and %d more", e.Path, len(e.Mistakes)-i)
			break
		}
		b.WriteString(e.Path)
		if m.Line > 0 {
			fmt.Fprintf(&b, ":%d", m.Line)
		}
		b.WriteString(": " + m.Text)
	}
	return b.String()
}

// Unwrap makes errors.Is find ErrJobFile, and what is behind single mistakes.
func (e *JobFileError) Unwrap() []error {
	errs := []error{ErrJobFile}
	for _, m := range e.Mistakes {
		if m.err != nil {
			errs = append(errs, m.err)
		}
	}
	return errs
}

func sortMistakes(m []Mistake) {
	slices.SortStableFunc(m, func(a, b Mistake) int { return cmp.Compare(a.Line, b.Line) })
}

// nearest finds the known key that was probably meant, or "".
func nearest(word string, known []string) string {
	return Nearest(strings.ReplaceAll(strings.ToLower(word), "-", "_"), known)
}

// Nearest finds the known word that was probably meant, or "" where none is
// close.
func Nearest(word string, known []string) string {
	best, bestDistance := "", 1+max(1, len(word)/3)
	for _, k := range known {
		d := distance(word, k)
		if len(word) >= 3 && (strings.HasPrefix(k, word) || strings.HasPrefix(word, k)) {
			d = min(d, 1)
		}
		if d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is how many letters must be added, removed, changed or swapped with
// their neighbour to make a into b. Words beyond 40 bytes are far from all.
func distance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return len(a) + len(b)
	}
	var before, last []int
	row := make([]int, len(b)+1)
	for k := range row {
		row[k] = k
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for k := 1; k <= len(b); k++ {
			changed := last[k-1]
			if a[i-1] != b[k-1] {
				changed++
			}
			row[k] = min(changed, last[k]+1, row[k-1]+1)
			if i > 1 && k > 1 && a[i-1] == b[k-2] && a[i-2] == b[k-1] {
				row[k] = min(row[k], before[k-2]+1)
			}
		}
	}
	return row[len(b)]
}
