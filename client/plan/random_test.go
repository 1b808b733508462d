package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// world is a machine in virtual time that does what the plan says, and to
// which things happen.
type world struct {
	t       *testing.T
	rnd     *rand.Rand
	now     time.Time
	rules   plan.Rules
	machine plan.Machine
	queue   plan.Queue
	after   map[task.AttemptID]plan.Kind // what becomes of one that is being stopped
	want    int                          // asked for in the call that is on its way
	last    task.AttemptID
	refused int
	trace   []string
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rnd: rand.New(rand.NewPCG(seed, 1)), now: noon, rules: open(), machine: machine(),
		after: map[task.AttemptID]plan.Kind{},
	}
	return w
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, line := range w.trace[max(0, len(w.trace)-20):] {
		w.t.Log(line)
	}
	w.t.Fatalf(format, args...)
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, w.now.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (w *world) find(id task.AttemptID) *plan.Attempt {
	i := slices.IndexFunc(w.queue.Attempts, func(a plan.Attempt) bool { return a.ID == id })
	if i < 0 {
		w.fail("attempt %d is not held", id)
	}
	return &w.queue.Attempts[i]
}

func (w *world) remove(id task.AttemptID) {
	w.queue.Attempts = slices.DeleteFunc(w.queue.Attempts, func(a plan.Attempt) bool { return a.ID == id })
}

// decide asks the plan, does what it says, and asks again: then there must be
// nothing left to do.
func (w *world) decide() plan.Decision {
	d := plan.Decide(w.now, w.rules, w.machine, w.queue)
	checkReasons(w.t, d)
	if len(d.Attempts) != len(w.queue.Attempts) {
		w.fail("%d reasons for %d attempts", len(d.Attempts), len(w.queue.Attempts))
	}
	for _, a := range d.Actions {
		w.note("%s %d want %d: %s", a.Kind, a.Attempt, a.Want, a.Reason.Text)
		w.do(a)
	}
	again := plan.Decide(w.now, w.rules, w.machine, w.queue)
	if len(again.Actions) > 0 {
		w.fail("a busy loop: after %q it wants %q", did(d), did(again))
	}
	if !again.Wake.IsZero() && !again.Wake.After(w.now) {
		w.fail("a busy loop: it wakes at %v, now is %v", again.Wake, w.now)
	}
	return again
}

func (w *world) do(action plan.Action) {
	if action.Kind == plan.Exchange {
		c := &w.queue.Contact
		switch {
		case c.Busy:
			w.fail("two calls at once")
		case w.now.Before(c.NotBefore):
			w.fail("a call at %v, asked for was none before %v", w.now, c.NotBefore)
		case action.Want > 0 && (w.rules.Paused || w.rules.Finishing):
			w.fail("it asks for work while paused or finishing")
		case action.Want < 0 || action.Want > protocol.MaxWanted:
			w.fail("it asks for %d", action.Want)
		case action.Want > 0 && action.Want > 16+16*w.rules.Cores-w.open():
			w.fail("it asks for %d and has %d out already", action.Want, w.open())
		case action.Want > max(2*w.rules.Cores, 2*len(w.queue.Attempts)):
			w.fail("it holds %d attempts and asks for %d", len(w.queue.Attempts), action.Want)
		}
		c.Busy = true
		w.want = action.Want
		for i := range w.queue.Attempts {
			if a := &w.queue.Attempts[i]; a.Stage == plan.StageReportable {
				a.Stage = plan.StageSent
			}
		}
		return
	}
	a := w.find(action.Attempt)
	if a.Stopping {
		w.fail("it wants to %s %d, which is being stopped", action.Kind, a.ID)
	}
	switch action.Kind {
	case plan.Fetch:
		w.consent(a)
		w.move(a, plan.StageAccepted, plan.StageFetching)
	case plan.Start:
		w.consent(a)
		w.move(a, plan.StageReady, plan.StageRunning)
	case plan.Upload:
		w.move(a, plan.StageFinished, plan.StageUploading)
	case plan.Stop, plan.Forget, plan.GiveBack:
		if a.Stage == plan.StageFetching || a.Stage == plan.StageRunning || a.Stage == plan.StageUploading {
			a.Stopping = true
			w.after[a.ID] = action.Kind
			return
		}
		w.settle(a, action.Kind)
	}
}

// open is how many attempts are not computed.
func (w *world) open() (n int) {
	for _, a := range w.queue.Attempts {
		if a.Stage < plan.StageFinished {
			n++
		}
	}
	return n
}

// consent is V2.
func (w *world) consent(a *plan.Attempt) {
	w.t.Helper()
	switch {
	case a.Project == "" || !w.rules.AllowAll && !slices.Contains(w.rules.Allow, a.Project):
		w.fail("V2: %d of project %q begins, allowed are %q", a.ID, a.Project, w.rules.Allow)
	case w.rules.Paused || w.rules.Cores == 0 || w.machine.Cores == 0:
		w.fail("V2: %d begins while nothing may run", a.ID)
	case a.Memory > w.rules.Memory:
		w.fail("V2: %d takes %d bytes, offered are %d", a.ID, a.Memory, w.rules.Memory)
	case !w.now.Before(a.Deadline):
		w.fail("%d begins after its deadline", a.ID)
	case a.Cancelled:
		w.fail("%d begins although it was cancelled", a.ID)
	}
}

func (w *world) move(a *plan.Attempt, from, to plan.Stage) {
	w.t.Helper()
	if a.Stage != from {
		w.fail("attempt %d goes from %s to %s", a.ID, a.Stage, to)
	}
	a.Stage = to
}

// settle does what was decided, once nothing goes on any more.
func (w *world) settle(a *plan.Attempt, kind plan.Kind) {
	a.Stopping = false
	delete(w.after, a.ID)
	switch {
	case kind == plan.Forget:
		w.remove(a.ID)
	case kind == plan.GiveBack:
		a.Stage, a.Since = plan.StageReportable, w.now
	case a.Stage == plan.StageFetching:
		a.Stage = plan.StageAccepted
	case a.Stage == plan.StageRunning:
		a.Stage = plan.StageReady
	}
}

// happen is one thing that happens to the machine.
func (w *world) happen() {
	projects := []string{"p", "q", "r", ""}
	switch n := w.rnd.IntN(20); {
	case n < 8 && len(w.queue.Attempts) > 0:
		w.advance(&w.queue.Attempts[w.rnd.IntN(len(w.queue.Attempts))])
	case n < 12 && w.queue.Contact.Busy:
		w.answer(projects)
	case n == 12 && w.queue.Contact.Busy:
		w.refused++
		w.queue.Contact = plan.AfterRefusal(w.now, w.refused, 0, "It was refused.")
		w.unsend(plan.StageReportable)
	case n == 13:
		w.rules.Paused = !w.rules.Paused
	case n == 14:
		w.rules.Cores = w.rnd.IntN(5)
	case n == 15:
		w.rules.AllowAll = w.rnd.IntN(2) == 0
		w.rules.Allow = projects[:w.rnd.IntN(4)]
	case n == 16:
		w.rules.Finishing = w.rnd.IntN(4) == 0
	case n == 17:
		w.machine.Trouble, w.machine.TroubleUntil = "It is broken.", w.now.Add(time.Duration(w.rnd.IntN(60))*time.Second)
	case n == 18:
		w.rules.Memory = uint64(w.rnd.IntN(3)) << 20
	case n == 19:
		w.queue.Paces.Note(task.Digest{byte(w.rnd.IntN(3))}, time.Duration(w.rnd.IntN(3000))*time.Millisecond)
	}
}

// advance lets an attempt take its next step.
func (w *world) advance(a *plan.Attempt) {
	if kind, ok := w.after[a.ID]; ok {
		w.note("attempt %d has stopped", a.ID)
		w.settle(a, kind)
		return
	}
	w.note("attempt %d leaves %s", a.ID, a.Stage)
	failed := w.rnd.IntN(4) == 0
	switch a.Stage {
	case plan.StageFetching:
		a.Stage = plan.StageReady
		if failed {
			a.Stage, a.RetryAt = plan.StageAccepted, w.now.Add(time.Second)
		}
	case plan.StageRunning:
		a.Stage = []plan.Stage{plan.StageFinished, plan.StageReportable}[w.rnd.IntN(2)]
		a.Since = w.now
	case plan.StageUploading:
		a.Stage, a.Since = plan.StageReportable, w.now
		if failed {
			a.Stage, a.RetryAt = plan.StageFinished, w.now.Add(time.Second)
		}
	}
}

// unsend ends the call: its reports are acknowledged, or wait again.
func (w *world) unsend(to plan.Stage) {
	for i := range w.queue.Attempts {
		if a := &w.queue.Attempts[i]; a.Stage == plan.StageSent {
			a.Stage = to
		}
	}
}

func (w *world) answer(projects []string) {
	r := protocol.ExchangeReply{AfterMillis: uint32(w.rnd.IntN(3000)), NextMillis: uint32(w.rnd.IntN(20000)), Reason: task.ReasonNoJobs}
	w.refused = 0
	w.queue.Attempts = slices.DeleteFunc(w.queue.Attempts, func(a plan.Attempt) bool { return a.Stage == plan.StageSent })
	for range min(w.want, w.rnd.IntN(6)) {
		w.last++
		r.Attempts = append(r.Attempts, protocol.Attempt{ID: w.last})
		w.queue.Attempts = append(w.queue.Attempts, plan.Attempt{
			ID: w.last, Project: projects[w.rnd.IntN(4)], Memory: uint64(w.rnd.IntN(3)) << 20, Program: task.Digest{byte(w.rnd.IntN(4))},
			Term:     time.Duration(w.rnd.IntN(3)) * 10 * time.Second,
			Deadline: w.now.Add(time.Duration(1+w.rnd.IntN(120)) * time.Second),
		})
	}
	for i := range w.queue.Attempts {
		if a := &w.queue.Attempts[i]; w.rnd.IntN(10) == 0 {
			a.Cancelled = true
		}
	}
	w.note("an answer with %d attempts", len(r.Attempts))
	w.queue.Contact = plan.AfterReply(w.now, w.want, &r)
}

// check is what holds after every step.
func (w *world) check() {
	running, fetching, uploading := 0, 0, 0
	for i, a := range w.queue.Attempts {
		switch a.Stage {
		case plan.StageRunning:
			running++
			if !a.Stopping {
				w.t.Helper()
				if a.Project == "" || !w.rules.Allows(a.Project) || w.rules.Paused {
					w.fail("V2: %d of project %q runs on", a.ID, a.Project)
				}
			}
		case plan.StageFetching:
			fetching++
		case plan.StageUploading:
			uploading++
		}
		for _, b := range w.queue.Attempts[:i] {
			if a.ID == b.ID {
				w.fail("attempt %d is held twice", a.ID)
			}
		}
	}
	stopping := len(w.after)
	if running-stopping > min(w.rules.Cores, w.machine.Cores) {
		w.fail("%d tasks run, %d may", running-stopping, w.rules.Cores)
	}
	if fetching > 4 || uploading > 4 {
		w.fail("%d downloads and %d uploads at once", fetching, uploading)
	}
}

// Whatever happens, the rules hold at every step, everything has a reason, and
// nothing spins.
func TestRandomEvents(t *testing.T) {
	for seed := range uint64(150) {
		w := newWorld(t, seed)
		calls := 0
		for range 400 {
			w.happen()
			busy := w.queue.Contact.Busy
			d := w.decide()
			w.check()
			if w.queue.Contact.Busy && !busy {
				calls++
			}
			if step := time.Duration(w.rnd.IntN(2000)) * time.Millisecond; d.Wake.IsZero() || d.Wake.Sub(w.now) > step {
				w.now = w.now.Add(step)
			} else {
				w.now = d.Wake
			}
		}
		if calls == 0 {
			t.Errorf("seed %d: it never called", seed)
		}
	}
}

// Left alone with a coordinator that answers, everything that was accepted is
// computed and delivered.
func TestComesToAnEnd(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, seed)
		for range 60 {
			w.happen()
			w.decide()
			w.now = w.now.Add(200 * time.Millisecond)
		}
		w.rules, w.machine = open(), machine()
		w.rules.Finishing = true
		for range 2000 {
			d := w.decide()
			if d.Done {
				break
			}
			for i := range w.queue.Attempts {
				if w.queue.Attempts[i].Stage != plan.StageAccepted && w.queue.Attempts[i].Stage < plan.StageReportable {
					w.advance(&w.queue.Attempts[i])
					break
				}
			}
			if w.queue.Contact.Busy && w.rnd.IntN(3) == 0 {
				w.want = 0
				w.answer([]string{"p", "p", "p", "p"})
			}
			w.now = w.now.Add(500 * time.Millisecond)
		}
		if d := w.decide(); !d.Done {
			w.fail("seed %d: %d attempts are left: %s", seed, len(w.queue.Attempts), d.Reason.Text)
		}
	}
}
