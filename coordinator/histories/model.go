package histories

import (
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Bounds of one history, so that a job's state is a small value. A task asks
// for up to three hosts: one may be out of the question for it, because it gave
// the task back.
const (
	maxHosts = 4
	maxTasks = 5
)

// job is what is fixed of a job before it is submitted.
type job struct {
	id        task.JobID
	owner     int // number of its publisher
	tasks     int
	replicate int
}

func (j *job) quorum() int { return task.Check{Replicate: uint8(j.replicate)}.Quorum() }

// The kinds of operations on a job.
const (
	opSubmit = "submit"
	opCancel = "cancel"
	opRead   = "read"
	opList   = "list"
	opReport = "exchange"     // a host's exchange, as far as it is about this job
	opTold   = "told to drop" // what it says of attempts that the host holds
)

// operation is what a client wanted of a job.
type operation struct {
	kind    string
	job     *job
	host    int
	reports []reported
	expiry  bool
}

// reported is what a host says of one attempt.
type reported struct {
	attempt  task.AttemptID
	index    int
	giveBack bool
}

// answer is what it was told.
type answer struct {
	refused  string         // a refusal that is not temporary
	existed  bool           // of a cancel
	state    string         // of a read: running, done, cancelled, or "" where there is no such job
	returned int            // of a read by the owner: results that came; -1: not said
	credit   int64          // beside returned
	acks     []protocol.Ack // of reports, one each
	given    []given
	told     int // attempts that the host need not go on with
}

// given is one attempt handed out.
type given struct {
	attempt task.AttemptID
	index   int
}

// What is known of a host's attempt at a task.
const (
	cellNone = iota
	cellOpen
	cellReported
	cellBack // given back
)

type cell struct {
	attempt task.AttemptID
	state   uint8
	backs   uint8 // attempts that it gave back
}

// jobState is the sequential state of a job. What the leader does by itself
// (verdicts, release, seal) shows in it when somebody was told: done is set by
// the first answer that only a released job gives.
type jobState struct {
	exists, cancelled, done bool
	returned                int
	cells                   [maxTasks][maxHosts]cell
}

// model is the sequential specification of one job.
func model() porcupine.Model {
	return porcupine.Model{
		Partition: byJob,
		Init:      func() any { return jobState{} },
		Step: func(s, in, out any) (bool, any) {
			next := s.(jobState)
			ok := next.step(in.(operation), out.(answer))
			return ok, next
		},
		DescribeOperation: func(in, out any) string { return describe(in.(operation), out.(answer)) },
	}
}

func byJob(history []porcupine.Operation) [][]porcupine.Operation {
	place := map[*job]int{}
	var parts [][]porcupine.Operation
	for _, o := range history {
		j := o.Input.(operation).job
		at, ok := place[j]
		if !ok {
			at = len(parts)
			place[j] = at
			parts = append(parts, nil)
		}
		parts[at] = append(parts[at], o)
	}
	return parts
}

// step changes the state by one operation, and reports whether its answer is
// one that a single node, which does one thing after the other, could give.
func (s *jobState) step(o operation, a answer) bool {
	if a.refused != "" {
		return false // nothing that is sent here deserves one
	}
	switch o.kind {
	case opSubmit:
		ok := !s.exists && !a.existed
		s.exists = true
		return ok
	case opCancel:
		if !a.existed {
			ok := s.exists && !s.cancelled && !s.done
			s.cancelled = true
			return ok
		}
		return s.cancelled || s.finish(o.job)
	case opRead, opList:
		return s.read(o.job, a)
	case opTold:
		return a.told == 0 || s.cancelled || o.expiry || s.finish(o.job)
	}
	return s.exchange(o, a)
}

// finish marks the job as released, if it can be: every task has a quorum.
func (s *jobState) finish(j *job) bool {
	if s.done {
		return true
	}
	if !s.exists || s.cancelled {
		return false
	}
	for i := range j.tasks {
		n := 0
		for _, c := range s.cells[i] {
			if c.state == cellReported {
				n++
			}
		}
		if n < j.quorum() {
			return false
		}
	}
	s.done = true
	return true
}

func (s *jobState) read(j *job, a answer) bool {
	switch a.state {
	case "":
		return !s.exists
	case "running":
		if !s.exists || s.cancelled || s.done {
			return false
		}
	case "cancelled":
		if !s.cancelled {
			return false
		}
	case "done":
		if !s.finish(j) {
			return false
		}
	}
	if a.returned < 0 {
		return true
	}
	most := int64(s.returned) * creditEach
	return a.returned == s.returned && a.credit <= most && (a.state != "done" || a.credit == most)
}

func (s *jobState) exchange(o operation, a answer) bool {
	if len(a.acks) != len(o.reports) {
		return false
	}
	for i, r := range o.reports {
		if !s.report(o, r, a.acks[i]) {
			return false
		}
	}
	for _, g := range a.given {
		if !s.give(o, g) {
			return false
		}
	}
	return true
}

// report is one report of an attempt that was handed out before.
func (s *jobState) report(o operation, r reported, ack protocol.Ack) bool {
	c := &s.cells[r.index][o.host]
	if c.attempt != r.attempt || !s.exists {
		return false
	}
	if c.state == cellReported {
		// Once the records are sealed nobody knows the attempt any more.
		return ack == protocol.AckDuplicate || ack == protocol.AckGone && (s.cancelled || s.finish(o.job))
	}
	switch ack {
	case protocol.AckAccepted:
		if c.state != cellOpen || s.cancelled || s.done {
			return false
		}
		if r.giveBack {
			c.state = cellBack
			c.backs++
			return true
		}
		c.state = cellReported
		s.returned++
		return true
	case protocol.AckCancelled:
		return s.cancelled
	case protocol.AckUnneeded:
		return s.finish(o.job)
	case protocol.AckGone:
		return o.expiry || s.cancelled || s.finish(o.job)
	}
	return false
}

// mostBacks is how often a host may give a task back and be asked again before
// the deadline of what it gave back.
const mostBacks = 1

// give hands an attempt to a host: the task still waits, and the host has no
// other that counts (T2).
func (s *jobState) give(o operation, g given) bool {
	if !s.exists || s.cancelled || s.done || g.index >= o.job.tasks {
		return false
	}
	c := &s.cells[g.index][o.host]
	if c.state == cellReported || !o.expiry && (c.state == cellOpen || c.backs > mostBacks) {
		return false
	}
	counting := 0
	for h := range maxHosts {
		switch s.cells[g.index][h].state {
		case cellOpen:
			if !o.expiry {
				counting++
			}
		case cellReported:
			counting++
		}
	}
	if counting >= o.job.replicate {
		return false
	}
	c.attempt, c.state = g.attempt, cellOpen
	return true
}

func describe(o operation, a answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", o.kind, o.job.id)
	switch o.kind {
	case opCancel:
		fmt.Fprintf(&b, ": had ended before: %v", a.existed)
	case opRead, opList:
		fmt.Fprintf(&b, ": %q, %d returned, credit %d", a.state, a.returned, a.credit)
	case opTold:
		fmt.Fprintf(&b, " host %d: %d attempts", o.host, a.told)
	case opReport:
		fmt.Fprintf(&b, " host %d", o.host)
		for i, r := range o.reports {
			fmt.Fprintf(&b, "; task %d (attempt %d, given back %v): %s", r.index, r.attempt, r.giveBack, a.acks[i])
		}
		for _, g := range a.given {
			fmt.Fprintf(&b, "; gets task %d (attempt %d)", g.index, g.attempt)
		}
	}
	if a.refused != "" {
		fmt.Fprintf(&b, ": refused: %s", a.refused)
	}
	return b.String()
}
