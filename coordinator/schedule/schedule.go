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
package schedule

import "github.com/sheafgrid/sheaf/task"

// View is what a pick reads of the cluster's state.
type View interface {
	// ActiveJobs are the running jobs in the order of submission.
	ActiveJobs() []task.JobNumber
	// JobFacts is what a pick must know of a running job.
	JobFacts(task.JobNumber) JobFacts
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

// JobFacts describes a running job and its current stage.
type JobFacts struct {
	Project     task.ProjectID
	ProjectName string
	Stage       task.StageID
	Count       uint64 // tasks of the stage
	Cursor      uint64 // tasks below it have been touched
	Open        int    // attempts of the stage that are out
	Replicate   int    // attempts that an untouched task wants
	Memory      uint64 // bytes that a task needs
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
const maxAhead = 4096

// For chooses up to want tasks for a host, and says why when there are fewer.
// Tasks that wait for a further attempt come before untouched ones, so that
// what was begun is finished. Among jobs, that of the project with the fewest
// attempts out comes first; within a project the job with the fewest, so that
// a large job does not shut out a small one; then the older one.
func For(v View, o *Overlay, h Host, want int, rnd func(n uint64) uint64) ([]Pick, task.Reason) {
	room := h.MayHold - h.Open - o.hosts[h.ID]
	reason := task.ReasonNoJobs
	if room <= 0 && want > 0 {
		return nil, task.ReasonHostFull
	}
	var picks []Pick
	jobs := candidates(v, h, &reason)
	for len(picks) < min(want, room) && len(jobs) > 0 {
		k := fairest(v, o, jobs)
		pick, why := pickFrom(v, o, h, jobs[k], rnd)
		if why != task.ReasonNone {
			reason = worse(reason, why)
			jobs = append(jobs[:k], jobs[k+1:]...)
			continue
		}
		o.add(pick, jobs[k], h)
		picks = append(picks, pick)
	}
	switch {
	case len(picks) == want:
		reason = task.ReasonNone
	case len(picks) == room:
		reason = task.ReasonHostFull
	}
	return picks, reason
}

// candidates are the jobs that the host may compute at all.
func candidates(v View, h Host, reason *task.Reason) []JobFacts {
	var jobs []JobFacts
	for _, n := range v.ActiveJobs() {
		j := v.JobFacts(n)
		switch {
		case !allows(h, j.ProjectName):
			*reason = worse(*reason, task.ReasonNotAllowed)
		case h.Memory > 0 && j.Memory > h.Memory:
			*reason = worse(*reason, task.ReasonMemory)
		default:
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func allows(h Host, project string) bool {
	if h.AllowAll {
		return true
	}
	for _, p := range h.Allow {
		if p == project {
			return true
		}
	}
	return false
}

// fairest is the place of the job whose turn it is.
func fairest(v View, o *Overlay, jobs []JobFacts) int {
	best, ofProject, ofJob := 0, 0, 0
	for k, j := range jobs {
		project := v.ProjectOpen(j.Project) + o.projects[j.Project]
		job := j.Open + o.pending[j.Stage]
		if k == 0 || project < ofProject || project == ofProject && job < ofJob {
			best, ofProject, ofJob = k, project, job
		}
	}
	return best
}

// pickFrom chooses one task of a job.
func pickFrom(v View, o *Overlay, h Host, j JobFacts, rnd func(n uint64) uint64) (Pick, task.Reason) {
	if i, ok := pickWaiting(v, o, h, j, rnd); ok {
		return Pick{j.Stage, i}, task.ReasonNone
	}
	// Tasks of this stage that were picked and not applied yet lie above the
	// cursor. They may want further attempts of other accounts.
	i, found, others := o.further(v, j, h.Account)
	if found {
		return Pick{j.Stage, i}, task.ReasonNone
	}
	if _, ok := v.Waiting(j.Stage, 0); ok {
		others = true // a task waits, for other accounts than this
	}
	next := max(j.Cursor, o.cursors[j.Stage])
	switch {
	case next < j.Count && next-j.Cursor < maxAhead:
		return Pick{j.Stage, next}, task.ReasonNone
	case next < j.Count:
		return Pick{}, task.ReasonOverloaded
	case others:
		return Pick{}, task.ReasonAllGiven
	}
	return Pick{}, task.ReasonInFlight
}

// pickWaiting finds a waiting task for the host. It starts at a random place,
// so that the tasks which this account has already computed do not stand in
// the way each time.
func pickWaiting(v View, o *Overlay, h Host, j JobFacts, rnd func(n uint64) uint64) (uint64, bool) {
	if j.Cursor == 0 {
		return 0, false
	}
	start := rnd(j.Cursor)
	i, ok := v.Waiting(j.Stage, start)
	wrapped := false
	for range maxScan {
		if !ok && !wrapped {
			wrapped = true
			i, ok = v.Waiting(j.Stage, 0)
		}
		if !ok || wrapped && i >= start {
			return 0, false
		}
		if o.wants(v, j, i) > 0 && !o.taken(v, j, i, h.Account) {
			return i, true
		}
		i, ok = v.Waiting(j.Stage, i+1)
	}
	return 0, false
}

// worse is the reason that says more: what a person could change outranks
// what only waiting can.
func worse(a, b task.Reason) task.Reason {
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
	if rank(b) > rank(a) {
		return b
	}
	return a
}
