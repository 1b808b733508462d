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
const maxAhead = 65_536

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
		j := &jobs[k]
		if j.picked == nil {
			j.picked = o.of(j.Stage)
			j.picked.begun.close()
			j.look = rnd(max(j.Cursor, 1))
		}
		pick, why := pickFrom(v, h, j)
		if why != task.ReasonNone {
			reason = worse(reason, why)
			jobs = append(jobs[:k], jobs[k+1:]...)
			continue
		}
		o.add(pick, j, h)
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

// candidate is a job on its turn.
type candidate struct {
	JobFacts
	picked *stagePicks // nil: not looked at yet
	// Where the next look for a waiting task begins, and whether it has gone
	// round: it never looks at the same one twice.
	look, start uint64
	begun, past bool
	// Where the look among those begun goes on, how many for others it has
	// passed, and whether there are any.
	place, seen int
	others      bool
}

// candidates are the jobs that the host may compute at all.
func candidates(v View, h Host, reason *task.Reason) []candidate {
	var jobs []candidate
	for _, n := range v.ActiveJobs() {
		j := v.JobFacts(n)
		switch {
		case !allows(h, j.ProjectName):
			*reason = worse(*reason, task.ReasonNotAllowed)
		case h.Memory > 0 && j.Memory > h.Memory:
			*reason = worse(*reason, task.ReasonMemory)
		default:
			jobs = append(jobs, candidate{JobFacts: j})
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
func fairest(v View, o *Overlay, jobs []candidate) int {
	best, ofProject, ofJob := 0, 0, 0
	if len(jobs) == 1 {
		return 0
	}
	for k := range jobs {
		j := &jobs[k]
		project := v.ProjectOpen(j.Project) + o.projects[j.Project]
		job := j.Open + o.pending(j.Stage)
		if k == 0 || project < ofProject || project == ofProject && job < ofJob {
			best, ofProject, ofJob = k, project, job
		}
	}
	return best
}

// pickFrom chooses one task of a job.
func pickFrom(v View, h Host, j *candidate) (Pick, task.Reason) {
	if i, ok := pickWaiting(v, h, j); ok {
		return Pick{j.Stage, i}, task.ReasonNone
	}
	// Tasks of this stage that were picked and not applied yet lie above the
	// cursor. They may want further attempts of other accounts.
	if i, ok := j.further(v, h.Account); ok {
		return Pick{j.Stage, i}, task.ReasonNone
	}
	next := max(j.Cursor, j.picked.cursor)
	switch {
	case next < j.Count && next-j.Cursor < maxAhead:
		return Pick{j.Stage, next}, task.ReasonNone
	case next < j.Count:
		return Pick{}, task.ReasonOverloaded
	}
	if _, ok := v.Waiting(j.Stage, 0); ok || j.others {
		return Pick{}, task.ReasonAllGiven // tasks wait, for other accounts than this
	}
	return Pick{}, task.ReasonInFlight
}

// pickWaiting finds a waiting task for the host. It starts at a random place,
// so that the tasks which this account has already computed do not stand in
// the way each time, and so that nobody chooses whose results his are compared
// with. The next pick of the same contact goes on where the last one ended.
func pickWaiting(v View, h Host, j *candidate) (uint64, bool) {
	if j.Cursor == 0 {
		return 0, false
	}
	if !j.begun {
		j.begun, j.start = true, j.look
	}
	for range maxScan {
		i, ok := v.Waiting(j.Stage, j.look)
		if !ok || j.past && i >= j.start {
			if j.past {
				return 0, false
			}
			j.past, j.look = true, 0
			continue
		}
		j.look = i + 1
		if wants, taken := j.picked.at(v, &j.JobFacts, i, h.Account); wants > 0 && !taken {
			return i, true
		}
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
