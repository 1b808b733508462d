package main

import (
	"fmt"
	"strings"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// shortfall is how many tasks of a job did not end with 0.
type shortfall struct {
	Tasks  uint64 // with a result
	Errors uint64 // the program ended with an error or a trap
	Failed uint64 // the attempts ran out
	Empty  uint64 // of both: left no output

	Unreduced uint64 // tasks of the reduction that did not end with 0
}

// tell says how many tasks lack an output and how to see why; nothing where
// all is well.
func (f shortfall) tell(a *app, job task.JobID) {
	if f.Errors+f.Failed+f.Unreduced == 0 {
		return
	}
	var kinds []string
	if f.Errors > 0 {
		kinds = append(kinds, fmt.Sprintf("%d ended with an error of the program", f.Errors))
	}
	if f.Failed > 0 {
		kinds = append(kinds, fmt.Sprintf("%d failed because the attempts ran out", f.Failed))
	}
	if len(kinds) > 0 {
		a.say("Not all tasks ended well: of %s, %s; %d of them left no output.", plural(f.Tasks, "task"), strings.Join(kinds, " and "), f.Empty)
	}
	if f.Unreduced > 0 {
		a.say("Not all of the reduction ended well: %s of it ended with an error of the program, or failed.", plural(f.Unreduced, "task"))
	}
	a.say("See why with:  sheaf job show %s", job)
}

// outputsText is a number of outputs, with those of the reduction told apart:
// otherwise there would be more outputs than results.
func outputsText(files, reduced uint64) string {
	text := plural(files, "output")
	if reduced > 0 {
		text += fmt.Sprintf(", %d of them of the reduction", reduced)
	}
	return text
}

// badTasks counts the released tasks of a job that did not end with 0, in
// words; "" where there is none.
func badTasks(j protocol.JobView) string {
	var words []string
	var reduction uint64
	for _, l := range j.Levels {
		switch {
		case l.Level > 0:
			reduction += l.Errors + l.Failed
			continue
		case l.Errors > 0:
			words = append(words, plural(l.Errors, "error"))
		}
		if l.Failed > 0 {
			words = append(words, fmt.Sprintf("%d failed", l.Failed))
		}
	}
	if reduction > 0 {
		words = append(words, plural(reduction, "error")+" in the reduction")
	}
	return strings.Join(words, ", ")
}

// unreleased is how many tasks of the current level are decided and not
// released, as far as the view's reader may know.
func unreleased(j protocol.JobView) (decided, tasks uint64) {
	if j.Progress == nil || len(j.Levels) == 0 {
		return 0, 0
	}
	l := j.Levels[len(j.Levels)-1]
	all := j.Progress.Accepted + j.Progress.Failed
	return all - min(all, l.Released), l.Tasks
}

// lostText says how many tasks of a cancelled job were decided for nothing; ""
// where there is none.
func lostText(j protocol.JobView) string {
	decided, tasks := unreleased(j)
	switch {
	case decided == 0:
		return ""
	case j.Progress.Failed == 0:
		return fmt.Sprintf("%d of %s had an accepted result that was not released; it cannot be fetched.", decided, plural(tasks, "task"))
	}
	return fmt.Sprintf("%d of %s had an accepted result, or failed, and were not released; they cannot be fetched.", decided, plural(tasks, "task"))
}

// checkText says how each task's result is checked.
func checkText(replicate uint8) string {
	switch replicate {
	case 0, 1:
		return "computed once, by one account"
	case 2:
		return "computed 2 times, by different accounts; 2 equal results decide"
	}
	return fmt.Sprintf("computed up to %d times, by different accounts; %d equal results decide", replicate, replicate/2+1)
}
