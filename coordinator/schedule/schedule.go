// Package schedule decides which tasks a host gets.
//
// It is pure: a pick is a function of the view, the overlay, the host and a
// random number. It changes nothing; a pick is proposed to the log, where
// Apply checks that it still holds. So what is chosen here can change from one
// version to the next without any change of what the log means.
//
// One goroutine picks (dispatch). It sees the state of the last applied entry
// plus, in the Overlay, what it has picked since and not yet seen applied, so
// that two exchanges never get the same place at a task.
//
// A pick takes a time that grows with the logarithm of the running jobs and
// projects, and an exchange looks beside that at the jobs that changed since
// the one before. What a host cannot compute is not gone over: jobs lie in the
// order of the memory that they need, projects that a host does not allow are
// not looked at, and jobs that have nothing to give stand in no queue.
package schedule

import (
	"math"

	"github.com/sheafgrid/sheaf/task"
)

// View is what a pick reads of the cluster's state.
type View interface {
	// Changed appends the jobs that changed after a moment to a list, each of
	// them once, and returns the present moment, which is not 0. After moment 0
	// these are the running jobs. A job changes when it begins or ends, when
	// anything that JobFacts tells of it does, and when ProjectOpen does on its
	// account.
	Changed(since uint64, list []task.JobNumber) ([]task.JobNumber, uint64)
	// JobFacts is what a pick must know of a job.
	JobFacts(task.JobNumber) JobFacts
	// ProjectByName finds a project.
	ProjectByName(name string) (task.ProjectID, bool)
	// ProjectOpen is how many attempts of a project are out.
	ProjectOpen(task.ProjectID) int
	// Waiting finds the first task of a stage, from a number on, that was
	// touched before and wants a further attempt.
	Waiting(stage task.StageID, from uint64) (uint64, bool)
	// Wanted is how many further attempts a touched task wants.
	Wanted(stage task.StageID, index uint64) int
	// Taken reports whether an attempt of the account's counts at a task.
	Taken(stage task.StageID, index uint64, account task.AccountID) bool
}

// JobFacts describes a job and its current stage.
type JobFacts struct {
	Project   task.ProjectID
	Running   bool
	Waiting   bool // touched tasks want further attempts
	Stage     task.StageID
	Count     uint64 // tasks of the stage
	Cursor    uint64 // tasks below it have been touched
	Open      int    // attempts of the stage that are out
	Replicate int    // attempts that an untouched task wants
	Memory    uint64 // bytes that a task needs
}

// Host is who asks.
type Host struct {
	ID       task.HostID
	Account  task.AccountID
	Open     int      // attempts it holds
	MayHold  int      // attempts it may hold
	Memory   uint64   // bytes it offers to one task; 0: not said
	Allow    []string // projects that its owner allows
	AllowAll bool
}

// Pick is one task for the host.
type Pick struct {
	Stage task.StageID
	Index uint64
}

// maxScan bounds how many waiting tasks are looked at for one pick. A host
// that meets only tasks its account already has gets an untouched one.
const maxScan = 256

// maxAhead bounds how far untouched tasks are handed out beyond those that
// were applied, as Apply does.
const maxAhead = 65_536

// maxVain bounds what one contact may look at in vain, in tasks: in jobs of
// which all were begun, and whose waiting tasks this account has computed
// already. A job counts as vainJob tasks at least. The first half goes to the
// jobs whose turn it is, the other to any, drawn by chance: else a job that
// this account could help might stand behind those for ever. Jobs with untouched
// tasks do not wait for that: one always has something to give.
const (
	maxVain = 1024
	vainJob = 16
)

// For chooses up to want tasks for a host, and says why when there are fewer.
// Tasks that wait for a further attempt come before untouched ones, so that
// what was begun is finished. Among jobs, that of the project with the fewest
// attempts out comes first, and of several such projects that of the oldest;
// within a project the job with the fewest, so that a large job does not shut
// out a small one; then the older one.
func For(v View, o *Overlay, h Host, want int, rnd func(n uint64) uint64) ([]Pick, task.Reason) {
	room := h.MayHold - h.Open - o.hosts[h.ID]
	if room <= 0 && want > 0 {
		return nil, task.ReasonHostFull
	}
	o.catchUp(v)
	o.contacts++
	c := contact{view: v, overlay: o, host: h, memory: h.Memory, rnd: rnd, reason: task.ReasonNoJobs}
	if h.Memory == 0 {
		c.memory = math.MaxUint64
	}
	c.findAllowed()
	picks := c.picks(min(want, room))
	switch {
	case len(picks) == want:
		c.reason = task.ReasonNone
	case len(picks) == room:
		c.reason = task.ReasonHostFull
	}
	return picks, c.reason
}

// contact is one host asking.
type contact struct {
	view    View
	overlay *Overlay
	host    Host
	memory  uint64     // bytes that a task may need
	allowed []*project // those with running jobs; of no account where all are allowed
	rnd     func(n uint64) uint64
	vain    int // tasks looked at in vain
	reason  task.Reason
}

// findAllowed finds the projects that the host allows by name.
func (c *contact) findAllowed() {
	o := c.overlay
	running := 0
	c.allowed = o.allowed[:0]
	for _, name := range c.host.Allow {
		if c.host.AllowAll {
			break
		}
		id, _ := c.view.ProjectByName(name)
		if p := o.projects[id]; p != nil && p.running > 0 && p.contact != o.contacts {
			p.contact = o.contacts // it may be named twice
			running += p.running
			c.allowed = append(c.allowed, p)
		}
	}
	o.allowed = c.allowed
	if c.host.AllowAll {
		running = o.running
	}
	if running < o.running {
		c.because(task.ReasonNotAllowed)
	}
	if running > 0 {
		c.because(task.ReasonInFlight)
	}
}

// picks chooses up to n tasks.
func (c *contact) picks(n int) (picks []Pick) {
	o := c.overlay
	for len(picks) < n {
		j := c.next()
		if j == nil {
			break
		}
		if j.turn.contact != o.contacts {
			j.picked.close()
			j.turn = turn{contact: o.contacts, look: c.rnd(max(j.Cursor, 1))}
		}
		pick, why := c.pickFrom(j)
		if why != task.ReasonNone {
			c.because(why)
			c.vain += max(vainJob, j.turn.looked)
			j.aside = true
			o.file(j)
			o.aside = append(o.aside, j)
			continue
		}
		o.add(pick, j, c.host)
		if picks == nil {
			picks = make([]Pick, 0, n)
		}
		picks = append(picks, pick)
	}
	if len(picks) < n && c.vain < maxVain/2 && (c.waits(untouched) || c.waits(waiting)) {
		c.because(task.ReasonMemory) // what the host could have computed is given
	}
	for _, j := range o.aside {
		j.aside = false
		o.file(j)
	}
	clear(o.aside)
	o.aside = o.aside[:0]
	return picks
}

// next is the job whose turn it is.
func (c *contact) next() *job {
	j := c.first(untouched)
	var w *job
	switch {
	case c.vain < maxVain/2:
		w = c.first(waiting)
	case c.vain < maxVain:
		if w = c.any(waiting); w != nil {
			return w
		}
	}
	if w == nil || j != nil && j.before(w) {
		return j
	}
	return w
}

// first is the job of a queue whose turn it is.
func (c *contact) first(q int) *job {
	var p *project
	if !c.host.AllowAll {
		for _, k := range c.allowed {
			if at := &k.queues[q].place; at.in && at.need <= c.memory && (p == nil || at.turn < p.queues[q].place.turn) {
				p = k
			}
		}
	} else if at := c.overlay.queues[q].next(c.memory); at != nil {
		p = at.of
	}
	if p == nil {
		return nil
	}
	return p.queues[q].jobs.next(c.memory).of
}

// any is a job of a queue, drawn by chance. Each has one.
func (c *contact) any(q int) *job {
	var p *project
	if !c.host.AllowAll {
		for ; p == nil && c.vain < maxVain && len(c.allowed) > 0; c.vain++ {
			k := c.allowed[c.rnd(uint64(len(c.allowed)))]
			if at := &k.queues[q].place; at.in && at.need <= c.memory {
				p = k
			}
		}
	} else if projects := &c.overlay.queues[q]; projects.fitting(c.memory) > 0 {
		p = projects.at(int(c.rnd(uint64(projects.fitting(c.memory))))).of
	}
	if p == nil {
		return nil
	}
	jobs := &p.queues[q].jobs
	return jobs.at(int(c.rnd(uint64(jobs.fitting(c.memory))))).of
}

// waits reports whether a job of a queue has something to give to somebody.
func (c *contact) waits(q int) bool {
	if c.host.AllowAll {
		return c.overlay.queues[q].root != nil
	}
	for _, p := range c.allowed {
		if p.queues[q].place.in {
			return true
		}
	}
	return false
}

// because notes a reason, unless a known one says more: what a person could
// change outranks what only waiting can.
func (c *contact) because(why task.Reason) {
	rank := func(r task.Reason) int {
		for i, known := range [...]task.Reason{
			task.ReasonNone, task.ReasonNoJobs, task.ReasonInFlight, task.ReasonOverloaded,
			task.ReasonMemory, task.ReasonNotAllowed, task.ReasonAllGiven,
		} {
			if r == known {
				return i
			}
		}
		return -1
	}
	if rank(why) > rank(c.reason) {
		c.reason = why
	}
}
