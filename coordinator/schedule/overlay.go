package schedule

import "github.com/sheafgrid/sheaf/task"

// Overlay is what was picked and has not been seen applied: it is laid over
// the view, so that the next pick does not choose the same again. It belongs
// to one goroutine. A leader that loses its office drops it whole.
type Overlay struct {
	places   map[place]*picked
	cursors  map[task.StageID]uint64 // untouched tasks below it were picked
	projects map[task.ProjectID]int
	hosts    map[task.HostID]int
	pending  map[task.StageID]int // picks of a stage, to know when its cursor may be forgotten
	begun    map[task.StageID]*begun
}

// begun are tasks at or above a stage's cursor that were picked at least once
// and may want further attempts, in the order of their first pick. What is in
// it needlessly is dropped when it is looked at.
type begun struct {
	order []uint64
	in    map[uint64]bool
}

type place struct {
	stage task.StageID
	index uint64
}

// picked is who was given a task since the view.
type picked struct {
	accounts []task.AccountID
}

// NewOverlay is an empty overlay.
func NewOverlay() *Overlay {
	return &Overlay{
		places: map[place]*picked{}, cursors: map[task.StageID]uint64{}, projects: map[task.ProjectID]int{},
		hosts: map[task.HostID]int{}, pending: map[task.StageID]int{}, begun: map[task.StageID]*begun{},
	}
}

func (o *Overlay) add(p Pick, j JobFacts, h Host) {
	at := place{p.Stage, p.Index}
	x := o.places[at]
	if x == nil {
		x = &picked{}
		o.places[at] = x
	}
	x.accounts = append(x.accounts, h.Account)
	if p.Index >= j.Cursor {
		o.cursors[p.Stage] = max(o.cursors[p.Stage], p.Index+1)
		o.begin(p)
	}
	o.projects[j.Project]++
	o.hosts[h.ID]++
	o.pending[p.Stage]++
}

// Settle forgets picks of one host that were applied, refused or given up.
func (o *Overlay) Settle(picks []Pick, project func(task.StageID) task.ProjectID, h Host) {
	for _, p := range picks {
		at := place{p.Stage, p.Index}
		x := o.places[at]
		if x == nil {
			continue
		}
		for k, a := range x.accounts {
			if a == h.Account {
				x.accounts = append(x.accounts[:k], x.accounts[k+1:]...)
				break
			}
		}
		if len(x.accounts) == 0 {
			delete(o.places, at)
		}
		if o.pending[p.Stage] > 1 {
			o.begin(p) // if it was not applied it is to be picked again
		}
		drop(o.projects, project(p.Stage))
		drop(o.hosts, h.ID)
		if drop(o.pending, p.Stage) {
			delete(o.cursors, p.Stage)
			delete(o.begun, p.Stage)
		}
	}
}

func (o *Overlay) begin(p Pick) {
	b := o.begun[p.Stage]
	if b == nil {
		b = &begun{in: map[uint64]bool{}}
		o.begun[p.Stage] = b
	}
	if !b.in[p.Index] {
		b.in[p.Index] = true
		b.order = append(b.order, p.Index)
	}
}

// further finds a task at or above the stage's cursor that was begun and wants
// a further attempt by the account; others says that some do by another one.
func (o *Overlay) further(v View, j JobFacts, account task.AccountID) (i uint64, found, others bool) {
	b := o.begun[j.Stage]
	if b == nil {
		return 0, false, false
	}
	kept, n := 0, 0
	for n < len(b.order) && kept < maxScan && !found {
		i = b.order[n]
		n++
		if i < j.Cursor || o.wants(v, j, i) <= 0 {
			delete(b.in, i)
			continue
		}
		b.order[kept] = i
		kept++
		if o.taken(v, j, i, account) {
			others = true
		} else {
			found = true
		}
	}
	b.order = append(b.order[:kept], b.order[n:]...)
	return i, found, others
}

// drop counts down and forgets what has reached zero.
func drop[K comparable](counts map[K]int, k K) (gone bool) {
	counts[k]--
	if counts[k] <= 0 {
		delete(counts, k)
		return true
	}
	return false
}

// Len is how many picks are not settled.
func (o *Overlay) Len() int {
	n := 0
	for _, c := range o.pending {
		n += c
	}
	return n
}

// wants is how many further attempts a task wants beyond those picked.
func (o *Overlay) wants(v View, j JobFacts, i uint64) int {
	n := j.Replicate
	if i < j.Cursor {
		n = v.Wanted(j.Stage, i)
	}
	if x := o.places[place{j.Stage, i}]; x != nil {
		n -= len(x.accounts)
	}
	return n
}

// taken reports whether the account has, or was picked for, a place at a task.
func (o *Overlay) taken(v View, j JobFacts, i uint64, account task.AccountID) bool {
	if x := o.places[place{j.Stage, i}]; x != nil {
		for _, a := range x.accounts {
			if a == account {
				return true
			}
		}
	}
	return i < j.Cursor && v.Taken(j.Stage, i, account)
}
