package schedule

import (
	"math"
	"slices"

	"github.com/sheafgrid/sheaf/task"
)

// Overlay is what was picked and has not been seen applied: it is laid over
// the view, so that the next pick does not choose the same again. With it go
// the queues of jobs, which count what was picked; they follow the view by
// looking at the jobs that it says have changed.
//
// It belongs to one goroutine, and to one term of one leader, whose state is
// never replaced by a snapshot's: a leader that loses its office drops it whole.
type Overlay struct {
	stages map[task.StageID]*stagePicks
	spare  []*stagePicks // of stages that have none any more
	hosts  map[task.HostID]int

	moment   uint64 // how much of the view the queues know
	jobs     map[task.JobNumber]*job
	projects map[task.ProjectID]*project // one that was met stays
	running  int                         // jobs
	queues   [queues]order[*project]

	contacts uint64 // how many hosts have asked
	// What one contact uses, kept for the next.
	changed []task.JobNumber
	allowed []*project
	aside   []*job
}

// stagePicks are the picks of one stage.
type stagePicks struct {
	job     *job
	pending int                // picks, to know when all this may be forgotten
	cursor  uint64             // untouched tasks below it were picked
	tasks   map[uint64]picked  // those that were given, and those of begun
	spare   [][]task.AccountID // lists that are empty again
	begun   begun
}

// picked is a task: who was given it since the view, and where it stands among
// those begun.
type picked struct {
	accounts []task.AccountID
	place    int // in begun.order, from 1 on; 0: it is not there
}

// noPicks are those of a stage that has none. Nobody changes it.
var noPicks = &stagePicks{}

// begun are tasks at or above a stage's cursor that were picked at least once
// and may want further attempts, in the order of their first pick. What is in
// it needlessly is dropped when it is looked at.
type begun struct {
	order []uint64 // dropped ones are gone
	holes int      // places of dropped ones
}

// gone stands where a task was that was dropped: no task has this number.
const gone = math.MaxUint64

// NewOverlay is an empty overlay.
func NewOverlay() *Overlay {
	return &Overlay{
		stages: map[task.StageID]*stagePicks{}, hosts: map[task.HostID]int{},
		jobs: map[task.JobNumber]*job{}, projects: map[task.ProjectID]*project{},
	}
}

// of are the picks of a stage.
func (o *Overlay) of(stage task.StageID) *stagePicks {
	if p := o.stages[stage]; p != nil {
		return p
	}
	return noPicks
}

func (o *Overlay) add(p Pick, j *job, h Host) {
	x := j.picked
	if x == noPicks {
		x = o.newPicks()
		x.job = j
		j.picked, o.stages[p.Stage] = x, x
	}
	t := x.tasks[p.Index]
	if n := len(x.spare); t.accounts == nil && n > 0 {
		t.accounts, x.spare = x.spare[n-1], x.spare[:n-1]
	}
	t.accounts = append(t.accounts, h.Account)
	if p.Index >= j.Cursor {
		x.cursor = max(x.cursor, p.Index+1)
		x.begun.add(p.Index, &t)
	}
	x.tasks[p.Index] = t
	x.pending++
	j.project.pending++
	o.hosts[h.ID]++
	o.file(j)
}

func (o *Overlay) newPicks() *stagePicks {
	if n := len(o.spare); n > 0 {
		x := o.spare[n-1]
		o.spare = o.spare[:n-1]
		return x
	}
	return &stagePicks{tasks: map[uint64]picked{}}
}

// maxSpare bounds the stages' picks that are kept for others, and the tasks
// that one of them may have begun.
const maxSpare = 4096

// forget ends the picks of a stage, the last of which was settled.
func (o *Overlay) forget(stage task.StageID, x *stagePicks) {
	delete(o.stages, stage)
	if x.job.picked == x {
		x.job.picked = noPicks
	}
	if len(o.spare) < maxSpare && len(x.begun.order) <= maxSpare/64 {
		clear(x.tasks)
		x.job, x.cursor, x.begun.order, x.begun.holes = nil, 0, x.begun.order[:0], 0
		o.spare = append(o.spare, x)
	}
}

// Settle forgets picks of one host: all of them were applied, or else some may
// have to be made again.
func (o *Overlay) Settle(picks []Pick, applied bool, h Host) {
	for _, p := range picks {
		x := o.stages[p.Stage]
		if x == nil || !x.settle(p.Index, h.Account, applied) {
			continue
		}
		j := x.job
		j.project.pending--
		drop(o.hosts, h.ID)
		if x.pending == 0 {
			o.forget(p.Stage, x)
		}
		j.empty = false
		o.file(j)
	}
}

// settle forgets a pick, and reports whether there was one. One that was not
// applied may have to be made again.
func (x *stagePicks) settle(i uint64, account task.AccountID, applied bool) bool {
	t := x.tasks[i]
	if len(t.accounts) == 0 {
		return false
	}
	if k := slices.Index(t.accounts, account); k >= 0 {
		t.accounts = slices.Delete(t.accounts, k, k+1)
	}
	if len(t.accounts) == 0 {
		x.spare = append(x.spare, t.accounts)
		t.accounts = nil
	}
	switch {
	case !applied:
		x.begun.add(i, &t)
	case t.accounts == nil:
		x.begun.drop(&t)
	}
	x.set(i, t)
	x.pending--
	return true
}

// set notes what is known of a task.
func (x *stagePicks) set(i uint64, t picked) {
	if t.accounts == nil && t.place == 0 {
		delete(x.tasks, i)
		return
	}
	x.tasks[i] = t
}

// drop takes a task from those begun.
func (x *stagePicks) drop(i uint64) {
	t := x.tasks[i]
	x.begun.drop(&t)
	x.set(i, t)
}

// close fills holes among those begun up where they are many.
func (x *stagePicks) close() {
	b := &x.begun
	if b.holes*2 <= len(b.order) {
		return
	}
	b.order = slices.DeleteFunc(b.order, func(i uint64) bool { return i == gone })
	b.holes = 0
	for k, i := range b.order {
		t := x.tasks[i]
		t.place = k + 1
		x.tasks[i] = t
	}
}

func (b *begun) len() int { return len(b.order) - b.holes }

func (b *begun) add(i uint64, t *picked) {
	if t.place == 0 {
		b.order = append(b.order, i)
		t.place = len(b.order)
	}
}

func (b *begun) drop(t *picked) {
	if t.place > 0 {
		b.order[t.place-1] = gone
		b.holes++
		t.place = 0
	}
}

// drop counts down and forgets what has reached zero.
func drop[K comparable](counts map[K]int, k K) {
	counts[k]--
	if counts[k] <= 0 {
		delete(counts, k)
	}
}

// Len is how many picks are not settled.
func (o *Overlay) Len() int {
	n := 0
	for _, p := range o.stages {
		n += p.pending
	}
	return n
}
