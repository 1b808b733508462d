package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/task"
)

var (
	short   = task.Digest{1}
	long    = task.Digest{2}
	strange = task.Digest{3}
)

// paces knows a short program and a long one.
func paces(took time.Duration) plan.Paces {
	var p plan.Paces
	p.Note(short, took)
	p.Note(long, time.Hour)
	return p
}

// some are n attempts of a program at a stage, with a day to go.
func some(n int, program task.Digest, stage plan.Stage) []plan.Attempt {
	var out []plan.Attempt
	for range n {
		out = append(out, plan.Attempt{Project: "p", Program: program, Deadline: in(24 * time.Hour), Term: 24 * time.Hour, Stage: stage, Since: noon})
	}
	return out
}

// numbered joins lists of attempts and numbers them.
func numbered(lists ...[]plan.Attempt) []plan.Attempt {
	all := slices.Concat(lists...)
	for i := range all {
		all[i].ID = task.AttemptID(i + 1)
	}
	return all
}

// asks is how many attempts a machine with two cores asks for when it may, or
// -1 where it does not call.
func asks(t *testing.T, took time.Duration, attempts []plan.Attempt, change func(*situation)) int {
	t.Helper()
	s := given(attempts, change)
	s.queue.Paces = paces(took)
	s.queue.Contact.NotBefore, s.queue.Contact.Unmet = noon, false
	d := plan.Decide(noon, s.rules, s.machine, s.queue)
	for _, a := range d.Actions {
		if a.Kind == plan.Exchange {
			return a.Want
		}
	}
	return -1
}

// How much is asked for follows from how long tasks take, and grows from
// little.
func TestBuffer(t *testing.T) {
	const (
		ready, running              = plan.StageReady, plan.StageRunning
		finished, uploading, report = plan.StageFinished, plan.StageUploading, plan.StageReportable
	)
	ms := time.Millisecond
	for name, c := range map[string]struct {
		took     time.Duration
		attempts []plan.Attempt
		change   func(*situation)
		want     int
	}{
		"nothing held":                         {took: 5 * ms, want: 4},
		"the first short ones are done":        {took: 5 * ms, attempts: some(4, short, report), want: 8},
		"more of them":                         {took: 5 * ms, attempts: some(12, short, report), want: 24},
		"as many as a host may hold":           {took: 5 * ms, attempts: numbered(some(30, short, report), some(2, short, running), some(4, short, ready)), want: 48 - 6},
		"tasks of a second":                    {took: time.Second, attempts: numbered(some(2, short, running), some(4, short, report)), want: 6},
		"tasks of two seconds":                 {took: 2 * time.Second, attempts: numbered(some(2, short, running), some(4, short, report)), want: 2},
		"long tasks":                           {took: 5 * ms, attempts: numbered(some(2, long, running), some(9, long, report)), want: 2},
		"of a program that nobody knows":       {took: 5 * ms, attempts: numbered(some(2, strange, running), some(9, strange, report)), want: 2},
		"a long one holds one core of the two": {took: 5 * ms, attempts: numbered(some(1, long, running), some(39, short, report)), want: 47},
		"enough in reserve":                    {took: 100 * ms, attempts: numbered(some(2, short, running), some(25, short, ready)), want: -1},
		"less in reserve":                      {took: 100 * ms, attempts: numbered(some(2, short, running), some(19, short, ready)), want: 48 - 21},
		"half of what may be held":             {took: 20 * ms, attempts: numbered(some(2, short, running), some(24, short, ready)), want: -1},
		"less than half of it":                 {took: 20 * ms, attempts: numbered(some(2, short, running), some(23, short, ready)), want: 48 - 25},
		"deadlines of a second": {took: 5 * ms, attempts: some(20, short, report), change: func(s *situation) {
			for i := range s.queue.Attempts {
				s.queue.Attempts[i].Term = 160 * ms // shares of 20 ms: 4 tasks each
			}
		}, want: 16},
		"results pile up before a slow line": {took: 5 * ms, attempts: numbered(some(8, short, finished), some(4, short, uploading), some(4, short, report)), want: 0},
		"finishing":                          {took: 5 * ms, attempts: some(4, short, report), change: func(s *situation) { s.rules.Finishing = true }, want: 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := asks(t, c.took, numbered(c.attempts), c.change); got != c.want {
				t.Errorf("asks for %d, want %d", got, c.want)
			}
		})
	}
}

// A report waits for others while there is enough to do, but not for long, and
// not beyond its deadline.
func TestReportsWaitForEachOther(t *testing.T) {
	busy := func(change func(*plan.Attempt)) plan.Queue {
		q := plan.Queue{Attempts: numbered(some(2, long, plan.StageRunning), some(2, long, plan.StageReady), some(1, long, plan.StageReportable)), Contact: quiet(), Paces: paces(1)}
		q.Contact.NotBefore = noon
		if change != nil {
			change(&q.Attempts[4])
		}
		return q
	}
	for name, c := range map[string]struct {
		queue plan.Queue
		calls bool
		wake  time.Time
	}{
		"it is new":                   {queue: busy(nil), wake: in(time.Second)},
		"it has waited":               {queue: busy(func(a *plan.Attempt) { a.Since = in(-time.Second) }), calls: true},
		"it waited in an earlier run": {queue: busy(func(a *plan.Attempt) { a.Since = time.Time{} }), calls: true},
		"its deadline comes near":     {queue: busy(func(a *plan.Attempt) { a.Deadline = in(1500 * time.Millisecond) }), wake: in(time.Second / 2)},
		"its deadline is over":        {queue: busy(func(a *plan.Attempt) { a.Deadline = in(-time.Hour) }), calls: true},
		"little is in reserve":        {queue: plan.Queue{Attempts: numbered(some(2, long, plan.StageRunning), some(1, long, plan.StageReportable)), Contact: plan.Contact{NotBefore: noon, NotAfter: in(time.Minute), Unmet: true}}, calls: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := plan.Decide(noon, open(), machine(), c.queue)
			called := len(d.Actions) > 0 && d.Actions[len(d.Actions)-1].Kind == plan.Exchange
			if called != c.calls || !c.wake.IsZero() && !d.Wake.Equal(c.wake) {
				t.Errorf("it does %q and wakes at %v; want a call: %t, or one at %v", did(d), d.Wake, c.calls, c.wake)
			}
		})
	}
}

// What takes longer is believed at once, what takes less bit by bit; few
// programs are remembered.
func TestPaces(t *testing.T) {
	held := numbered(some(10, short, plan.StageReportable), some(2, short, plan.StageRunning))
	ask := func(p plan.Paces) int {
		s := given(held, nil)
		s.queue.Paces, s.queue.Contact.NotBefore = p, noon
		d := plan.Decide(noon, s.rules, s.machine, s.queue)
		return d.Actions[len(d.Actions)-1].Want
	}
	var p plan.Paces
	for range 40 {
		p.Note(short, time.Millisecond)
	}
	if got := ask(p); got != 24 {
		t.Errorf("of short tasks it asks for %d, want 24", got)
	}
	p.Note(short, 4*time.Second)
	if got := ask(p); got != 2 {
		t.Errorf("after a long one it asks for %d, want 2", got)
	}
	for range 40 {
		p.Note(short, time.Millisecond)
	}
	if got := ask(p); got != 24 {
		t.Errorf("of short tasks again it asks for %d, want 24", got)
	}
	for i := range 100 {
		p.Note(task.Digest{9, byte(i)}, time.Second)
	}
	if got := ask(p); got != 2 {
		t.Errorf("of a program that it has forgotten it asks for %d, want 2", got)
	}
	p.Note(short, -time.Hour) // a clock that went back
	if got := ask(p); got != 24 {
		t.Errorf("of tasks of no length it asks for %d, want 24", got)
	}
}
