package publisher

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// ErrNotVerified is wrapped by the error about a folder in which something is
// wrong. The report lists what.
var ErrNotVerified = errors.New("folder is not what was fetched")

// maxProblems is how many problems a report lists.
const maxProblems = 100

// Report says what Verify found.
type Report struct {
	Manifest *Manifest // nil where it cannot be read

	Released  uint64 // results of level 0
	Failed    uint64 // of Released: tasks that ended failed
	Errors    uint64 // of Released: the program ended with an error
	Empty     uint64 // of Failed and Errors: left no output
	Unreduced uint64 // tasks of the reduction that ended with an error, or failed
	Files     uint64 // outputs that are right
	Reduced   uint64 // of Files: of the reduction, not of tasks
	Bytes     int64  // of them

	Problems []Problem // the first 100
	More     int       // problems that are not listed
}

// Problem is one thing that is wrong in a folder.
type Problem struct {
	File string `json:"file"` // its name in the folder, with forward slashes; quoted where it cannot be shown
	Text string `json:"text"` // what is wrong
}

// String is the file with what is wrong with it.
func (p Problem) String() string { return p.File + ": " + p.Text }

func (r *Report) add(file, format string, args ...any) {
	if len(r.Problems) >= maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{File: showName(file), Text: fmt.Sprintf(format, args...)})
}

// err is nil if nothing is wrong.
func (r *Report) err() error {
	n := len(r.Problems) + r.More
	switch n {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%w: %s", ErrNotVerified, r.Problems[0])
	}
	return fmt.Errorf("%w: %s (and %d more problems)", ErrNotVerified, r.Problems[0], n-1)
}

// showName is a file's name as it can be shown to a person.
func showName(name string) string {
	if strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) || c == unicode.ReplacementChar }) {
		return strconv.QuoteToASCII(name)
	}
	return name
}
