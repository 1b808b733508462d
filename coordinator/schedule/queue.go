package schedule

import "github.com/sheafgrid/sheaf/task"

// A job stands in one of two queues, or in none when it has nothing to give.
// Both are projects in order, and in each its jobs in order.
const (
	untouched = iota // tasks that nobody has had: anyone who may compute the job gets one
	waiting          // all were begun, and some want a further attempt, of accounts that have none
	queues
	nowhere = -1
)

// job is a running job as picking sees it.
type job struct {
	JobFacts
	project *project
	place   item[*job]
	queue   int
	picked  *stagePicks // of its current stage
	turn    turn
	aside   bool // it has nothing for the host that is asking
	// Nothing of what waits is left beside what was picked. It is looked at again
	// when something of the job changes.
	empty bool
}

// project is one that has, or had, running jobs.
type project struct {
	number  task.ProjectID
	open    int // attempts out, as the view has it
	pending int // picks
	running int // jobs
	contact uint64
	queues  [queues]struct {
		place item[*project]
		jobs  order[*job]
	}
}

// catchUp brings the queues to what the view shows.
func (o *Overlay) catchUp(v View) {
	o.changed, o.moment = v.Changed(o.moment, o.changed[:0])
	for _, n := range o.changed {
		o.look(v, n)
	}
}

// look brings one job to what the view shows.
func (o *Overlay) look(v View, n task.JobNumber) {
	facts := v.JobFacts(n)
	p := o.projects[facts.Project]
	if p == nil {
		p = &project{number: facts.Project}
		for q := range p.queues {
			p.queues[q].place.of, p.queues[q].place.number = p, uint32(p.number)
		}
		o.projects[facts.Project] = p
	}
	p.open = v.ProjectOpen(facts.Project)
	j := o.jobs[n]
	switch {
	case j == nil && !facts.Running: // an attempt of a job that has ended
		o.fileProject(p)
		return
	case j == nil:
		j = &job{project: p, queue: nowhere, picked: noPicks}
		j.place.of, j.place.number = j, uint32(n)
		o.jobs[n] = j
		p.running++
		o.running++
	case !facts.Running:
		delete(o.jobs, n)
		p.running--
		o.running--
	}
	if j.Stage != facts.Stage {
		j.picked = o.of(facts.Stage)
	}
	j.JobFacts, j.empty = facts, false
	o.file(j)
}

// file puts a job, and its project, into the queue where it belongs now.
func (o *Overlay) file(j *job) {
	q := j.belongs()
	if j.queue != nowhere && j.queue != q {
		j.project.queues[j.queue].jobs.file(&j.place, false, 0, 0)
	}
	if q != nowhere {
		j.project.queues[q].jobs.file(&j.place, true, j.Memory, j.Open+j.picked.pending)
	}
	j.queue = q
	o.fileProject(j.project)
}

func (o *Overlay) fileProject(p *project) {
	for q := range p.queues {
		at := &p.queues[q]
		if least := at.jobs.least(); least != nil {
			o.queues[q].file(&at.place, true, least.need, p.out())
		} else {
			o.queues[q].file(&at.place, false, 0, 0)
		}
	}
}

func (p *project) out() int { return p.open + p.pending }

// belongs is the queue in which a job has its place.
func (j *job) belongs() int {
	rest := j.next() < j.Count
	switch {
	case !j.Running || j.aside:
		return nowhere
	case rest && j.next()-j.Cursor < maxAhead:
		return untouched
	case rest || !j.empty && (j.Waiting || j.picked.begun.len() > 0):
		return waiting
	}
	return nowhere
}

// next is the first task that was neither begun nor picked.
func (j *job) next() uint64 { return max(j.Cursor, j.picked.cursor) }

// before reports whether it is j's turn before k's, which may be nil: that of
// the project with fewer attempts out, then of the older project; in it that of
// the job with fewer, then of the older job.
func (j *job) before(k *job) bool {
	switch {
	case k == nil || j.project == k.project:
		return k == nil || j.place.turn < k.place.turn
	case j.project.out() != k.project.out():
		return j.project.out() < k.project.out()
	}
	return j.project.number < k.project.number
}
