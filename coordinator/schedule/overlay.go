package schedule

import (
	"math"
	"slices"

	"github.com/sheafgrid/sheaf/task"
)

// Overlay is what was picked and has not been seen applied: it is laid over
// the view, so that the next pick does not choose the same again. It belongs
// to one goroutine. A leader that loses its office drops it whole.
type Overlay struct {
	stages   map[task.StageID]*stagePicks
	projects map[task.ProjectID]int
	hosts    map[task.HostID]int
}

// stagePicks are the picks of one stage.
type stagePicks struct {
	project task.ProjectID
	pending int                         // picks, to know when all this may be forgotten
	cursor  uint64                      // untouched tasks below it were picked
	given   map[uint64][]task.AccountID // by task: who was given it since the view
	spare   [][]task.AccountID          // lists that are empty again
	begun   begun
}

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
	return &Overlay{stages: map[task.StageID]*stagePicks{}, projects: map[task.ProjectID]int{}, hosts: map[task.HostID]int{}}
}

// of are the picks of a stage. Where there are none they are kept from the
// first that is added.
func (o *Overlay) of(stage task.StageID) *stagePicks {
	if p := o.stages[stage]; p != nil {
		return p
	}
	return &stagePicks{}
}

func (o *Overlay) pending(stage task.StageID) int {
	if p := o.stages[stage]; p != nil {
		return p.pending
	}
	return 0
}

func (o *Overlay) add(p Pick, j *candidate, h Host) {
	x := j.picked
	if x.given == nil {
		x.given, x.begun.place = map[uint64][]task.AccountID{}, map[uint64]int{}
		x.project = j.Project
		o.stages[p.Stage] = x
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
	o.projects[j.Project]++
	o.hosts[h.ID]++
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
		drop(o.projects, x.project)
		drop(o.hosts, h.ID)
		if x.pending == 0 {
			delete(o.stages, p.Stage)
		}
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

// further finds a task at or above the stage's cursor that was begun and wants
// a further attempt by the account. It goes on where the last look of this
// contact ended, and notes whether some are for other accounts only.
func (j *candidate) further(v View, account task.AccountID) (uint64, bool) {
	b := &j.picked.begun
	for ; j.place < len(b.order) && j.seen < maxScan; j.place++ {
		i := b.order[j.place]
		if i == gone {
			continue
		}
		wants, taken := 0, false
		if i >= j.Cursor {
			wants, taken = j.picked.at(v, &j.JobFacts, i, account)
		}
		switch {
		case wants <= 0:
			b.drop(i)
		case !taken:
			return i, true
		default:
			j.others = true
			j.seen++
		}
	}
	return 0, false
}

// at is how many attempts a task wants beyond those picked, and whether the
// account has, or was picked for, a place at it already.
func (x *stagePicks) at(v View, j *JobFacts, i uint64, account task.AccountID) (wants int, taken bool) {
	accounts := x.given[i]
	wants = j.Replicate
	if i < j.Cursor {
		wants = v.Wanted(j.Stage, i)
	}
	if wants -= len(accounts); wants <= 0 {
		return wants, false
	}
	for _, a := range accounts {
		if a == account {
			return wants, true
		}
	}
	return wants, i < j.Cursor && v.Taken(j.Stage, i, account)
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
