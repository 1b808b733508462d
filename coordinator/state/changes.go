package state

import "github.com/sheafgrid/sheaf/task"

// changes remember when each job changed last, in a list with the latest at its
// end. Whoever follows the jobs asks for those that changed since it asked
// before, so that it need not go over all of them; nothing is kept for it, and
// any number may ask.
type changes struct {
	count  uint64 // of changes
	latest task.JobNumber
	jobs   []changed // by JobNumber
}

// changed is a job's place in the list. 0 is none.
type changed struct {
	moment       uint64
	older, newer task.JobNumber
}

// moment counts changes. The first is 1: 0 is before everything.
func (c *changes) moment() uint64 { return c.count + 1 }

// note puts a job at the end of the list.
func (c *changes) note(n task.JobNumber) {
	c.count++
	for uint64(len(c.jobs)) <= uint64(n) {
		c.jobs = append(c.jobs, changed{})
	}
	j := &c.jobs[n]
	if c.latest != n {
		if j.moment != 0 {
			c.jobs[j.newer].older = j.older
			c.jobs[j.older].newer = j.newer // place 0 may be written to; nobody reads it
		}
		j.older, j.newer = c.latest, 0
		c.jobs[c.latest].newer = n
		c.latest = n
	}
	j.moment = c.moment()
}

// since appends the jobs that changed after a moment.
func (c *changes) since(moment uint64, list []task.JobNumber) []task.JobNumber {
	for n := c.latest; n != 0 && c.jobs[n].moment > moment; n = c.jobs[n].older {
		list = append(list, n)
	}
	return list
}
