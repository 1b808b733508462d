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
	pending int                         // picks, to know when all this may be forgotten
	cursor  uint64                      // untouched tasks below it were picked
	given   map[uint64][]task.AccountID // by task: who was given it since the view
	spare   [][]task.AccountID          // lists that are empty again
	begun   begun
}

// noPicks are those of a stage that has none. Nobody changes it.
var noPicks = &stagePicks{}

// begun are tasks at or above a stage's cursor that were picked at least once
// and may want further attempts, in the order of their first pick. What is in
// it needlessly is dropped when it is looked at.
type begun struct {
	order []uint64       // dropped ones are gone
	place map[uint64]int // in order
	holes int            // places of dropped ones
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
	accounts, ok := x.given[p.Index]
	if n := len(x.spare); !ok && n > 0 {
		accounts, x.spare = x.spare[n-1], x.spare[:n-1]
	}
	x.given[p.Index] = append(accounts, h.Account)
	if p.Index >= j.Cursor {
		x.cursor = max(x.cursor, p.Index+1)
		x.begun.add(p.Index)
	}
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
	return &stagePicks{given: map[uint64][]task.AccountID{}, begun: begun{place: map[uint64]int{}}}
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
		clear(x.begun.place)
		x.job, x.cursor, x.begun.order, x.begun.holes = nil, 0, x.begun.order[:0], 0
		o.spare = append(o.spare, x)
	}
}

// Settle forgets picks of one host: all of them were applied, or else some may
// have to be made again.
func (o *Overlay) Settle(picks []Pick, applied bool, h Host) {
	for _, p := range picks {
		x := o.stages[p.Stage]
		if x == nil || !x.settle(p.Index, h.Account) {
			continue
		}
		if !applied {
			x.begun.add(p.Index)
		} else if len(x.given[p.Index]) == 0 {
			x.begun.drop(p.Index)
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

// settle forgets a pick, and reports whether there was one.
func (x *stagePicks) settle(i uint64, account task.AccountID) bool {
	accounts, ok := x.given[i]
	if !ok {
		return false
	}
	for k, a := range accounts {
		if a == account {
			accounts = append(accounts[:k], accounts[k+1:]...)
			break
		}
	}
	if len(accounts) == 0 {
		delete(x.given, i)
		x.spare = append(x.spare, accounts)
	} else {
		x.given[i] = accounts
	}
	x.pending--
	return true
}

func (b *begun) len() int { return len(b.order) - b.holes }

func (b *begun) add(i uint64) {
	if _, ok := b.place[i]; !ok {
		b.place[i] = len(b.order)
		b.order = append(b.order, i)
	}
}

func (b *begun) drop(i uint64) {
	if k, ok := b.place[i]; ok {
		delete(b.place, i)
		b.order[k] = gone
		b.holes++
	}
}

// close fills holes up where they are many.
func (b *begun) close() {
	if b.holes*2 <= len(b.order) {
		return
	}
	b.order = slices.DeleteFunc(b.order, func(i uint64) bool { return i == gone })
	b.holes = 0
	for k, i := range b.order {
		b.place[i] = k
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
