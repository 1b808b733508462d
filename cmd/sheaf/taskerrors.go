package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// taskError is one way in which tasks of a level ended that did not end with 0.
type taskError struct {
	Level  uint8     `json:"level"`
	Ended  string    `json:"ended"` // in words
	Exit   task.Exit `json:"exit"`
	Tasks  uint64    `json:"tasks"` // that ended so
	First  uint64    `json:"first"` // the first of them
	Stderr string    `json:"stderr,omitempty"`
	Again  string    `json:"again,omitempty"` // a command that runs the first one here
}

// Bounds on how much of a large job is read to count its errors.
const (
	maxErrorPages = 8    // of protocol.MaxPage results, for each level
	maxErrorKinds = 10   // told one by one
	maxErrorText  = 200  // bytes of a standard error that are shown
	maxErrorRead  = 4096 // bytes of it that are read
)

// taskErrors counts the errors of a job's released tasks by their kind, the
// first to occur first.
func (s *session) taskErrors(ctx context.Context, j protocol.JobView) ([]taskError, error) {
	var all []taskError
	for _, l := range j.Levels {
		if l.Errors+l.Failed == 0 {
			continue
		}
		kinds, err := s.levelErrors(ctx, j, l)
		if err != nil {
			return nil, err
		}
		all = append(all, kinds...)
	}
	if len(all) > 0 {
		s.addAgain(ctx, j, all)
	}
	return all, nil
}

// levelErrors reads results of a level until all of its errors are found.
func (s *session) levelErrors(ctx context.Context, j protocol.JobView, l protocol.LevelView) (kinds []taskError, err error) {
	var found, from uint64
	for range maxErrorPages {
		var page protocol.ResultPage
		if err := s.remote.GetJSON(ctx, protocol.ResultsPath(j.Job, l.Level, from, protocol.MaxPage), &page, nil); err != nil {
			return nil, err
		}
		for _, r := range page.Results {
			if r.Exit == 0 {
				continue
			}
			found++
			kinds = s.addError(ctx, j, l.Level, r, kinds)
		}
		if page.Done || found >= l.Errors+l.Failed || page.Next <= from {
			break
		}
		from = page.Next
	}
	return kinds, nil
}

// addError counts one result, and keeps what the first of its kind said.
func (s *session) addError(ctx context.Context, j protocol.JobView, level uint8, r protocol.ResultView, kinds []taskError) []taskError {
	ended := printable(r.Ended)
	if r.Why != "" {
		ended += ": " + printable(r.Why)
	}
	for i := range kinds {
		if kinds[i].Ended == ended {
			kinds[i].Tasks++
			return kinds
		}
	}
	if len(kinds) == maxErrorKinds {
		return kinds // what is missing shows in the level's count
	}
	e := taskError{Level: level, Ended: ended, Exit: r.Exit, Tasks: 1, First: r.Index}
	for i, f := range r.Files {
		if f.Name == task.OutputStderr {
			e.Stderr = s.beginning(ctx, protocol.OutputPath(j.Job, level, r.Index, i))
		}
	}
	return append(kinds, e)
}

// beginning is the first line of an output that says something, or "". It is
// an extra: where it cannot be read, the rest is told without it.
func (s *session) beginning(ctx context.Context, path string) string {
	r, err := s.remote.Stream(ctx, path, nil)
	if err != nil {
		return ""
	}
	defer r.Close()
	for lines := bufio.NewScanner(io.LimitReader(r, maxErrorRead)); lines.Scan(); {
		text := strings.TrimSpace(printable(lines.Text()))
		if len(text) > maxErrorText {
			text = strings.ToValidUTF8(text[:maxErrorText], "") + "…"
		}
		if text != "" {
			return text
		}
	}
	return ""
}

// addAgain adds how to run tasks of level 0 here. Those of which the arguments
// follow from more than the specification get no command.
func (s *session) addAgain(ctx context.Context, j protocol.JobView, kinds []taskError) {
	r, err := s.remote.Stream(ctx, protocol.SpecPath(j.Job), nil)
	if err != nil {
		return
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, protocol.MaxSpec+1))
	if err != nil {
		return
	}
	spec, err := protocol.DecodeSpec(b)
	if err != nil || spec.HasIndex(0) {
		return
	}
	for i := range kinds {
		if kinds[i].Level > 0 || kinds[i].First >= spec.Count(0) {
			continue
		}
		if t, err := spec.Task(j.Job, 0, kinds[i].First, nil); err == nil {
			kinds[i].Again = runAgain(&t)
		}
	}
}

// runAgain is the command that does here what a volunteer did.
func runAgain(t *task.Task) string {
	words := []string{"sheaf task run PROGRAM.wasm"}
	if len(t.Inputs) > 0 {
		words = append(words, "--in DIR")
	}
	words = append(words, fmt.Sprintf("--seed %d --work %d --memory %s", t.Seed, t.Limits.Work, sizeFlag(t.Limits.Memory)))
	if len(t.Args) > 0 {
		words = append(words, "--")
	}
	for _, arg := range t.Args {
		words = append(words, shellWord(arg))
	}
	return strings.Join(words, " ")
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellWord is an argument as it is typed.
func shellWord(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(printable(s), "'", `'\''`) + "'"
}

// printable is text of somebody else that is safe to show on a terminal.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) && c != '\t' {
			return utf8.RuneError
		}
		return c
	}, s)
}

// showTaskErrors tells in how many tasks each error occurred, and how to look
// at one.
func showTaskErrors(a *app, j protocol.JobView, kinds []taskError) {
	if len(kinds) == 0 {
		return
	}
	a.say("")
	a.say("Tasks that ended with an error, by kind:")
	var found, all uint64
	for _, l := range j.Levels {
		all += l.Errors + l.Failed
	}
	var left *taskError // the first of level 0 after which there are outputs
	again := false
	for i, e := range kinds {
		found += e.Tasks
		where := ""
		if e.Level > 0 {
			where = " of " + levelName(e.Level)
		}
		a.say("  %-12s %s; first task %d%s", plural(e.Tasks, "task")+":", e.Ended, e.First, where)
		if e.Stderr != "" {
			a.say("               it wrote: %s", e.Stderr)
		}
		if e.Again != "" {
			a.say("               run it here: %s", e.Again)
			again = true
		}
		if left == nil && e.Level == 0 && e.Exit <= 63 {
			left = &kinds[i]
		}
	}
	if all > found {
		a.say("  and %s more, which are not counted here", plural(all-found, "task"))
	}
	if again {
		a.say("There, PROGRAM.wasm is your file, and DIR, where it is named, a folder with the job's inputs.")
	}
	if left != nil {
		a.say("What one left:  sheaf job fetch %s --out DIR, and then in DIR/tasks/%010d", j.Job, left.First)
	}
}
