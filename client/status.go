package client

import (
	"slices"
	"time"

	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Status is what the agent does at a moment, and why.
type Status struct {
	Account  string // public names
	Host     string
	HostKey  task.Key
	Cluster  task.ClusterID // zero: none has answered yet
	Enrolled bool
	Rules    plan.Rules
	Reason   plan.Reason // why it computes, or why not
	Tasks    []TaskStatus
	Counts   Counts // since the agent was opened
	Members  []protocol.Member
	NextCall time.Time // when it calls a coordinator, where nothing happens before; zero: it is calling
}

// TaskStatus is one task that is held.
type TaskStatus struct {
	Attempt  task.AttemptID
	Job      task.JobID
	Level    uint8
	Index    uint64
	Project  string
	App      string
	Stage    plan.Stage
	Reason   plan.Reason
	Deadline time.Time
	Running  time.Duration // since it began to run, where it does
	CPU      time.Duration // processor time that it has taken, where it runs
	Work     uint64        // instructions counted when it last called the system
	Limit    uint64        // instructions that it may take

	began time.Time
	gauge *gauge
}

// Counts is what became of tasks.
type Counts struct {
	Computed     uint64 // brought a result
	Failed       uint64 // brought none
	Acknowledged uint64 // reports that counted, or were given back
	Unneeded     uint64 // reports that came too late, twice, or for a cancelled job
	Refused      uint64 // reports that did not fit their tasks
}

func (c *Counts) count(a protocol.Ack) {
	switch a {
	case protocol.AckAccepted:
		c.Acknowledged++
	case protocol.AckRefused:
		c.Refused++
	default:
		c.Unneeded++
	}
}

// publish makes the state of things readable for others.
func (r *run) publish(rules plan.Rules, why plan.Reason, reasons map[task.AttemptID]plan.Reason) {
	s := Status{
		Account: r.cfg.AccountName, Host: r.cfg.HostName, HostKey: protocol.PublicKey(r.host),
		Enrolled: r.link.enrolled, Rules: rules, Reason: why, Counts: r.counts, Members: r.link.members,
	}
	if r.link.owner != nil {
		s.Cluster = r.link.owner.Cluster
	}
	if !r.contact.Busy {
		s.NextCall = r.contact.NotAfter
	}
	for _, h := range r.queue {
		t := &h.attempt.Task
		s.Tasks = append(s.Tasks, TaskStatus{
			Attempt: h.attempt.ID, Job: t.Job, Level: t.Level, Index: t.Index,
			Project: h.attempt.Version.Project, App: h.attempt.Version.App,
			Stage: h.stage, Reason: reasons[h.attempt.ID], Deadline: h.deadline, Limit: t.Limits.Work,
			began: h.began, gauge: h.gauge,
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = s
}

// Status is what the agent did at its last decision, and how far its running
// tasks have come now. The caller owns it.
func (a *Agent) Status() Status {
	a.mu.Lock()
	s := a.status
	a.mu.Unlock()
	tasks := s.Tasks
	s.Tasks, s.Members = nil, slices.Clone(s.Members)
	for _, t := range tasks {
		if t.gauge != nil {
			t.Running = time.Since(t.began)
			t.CPU, t.Work = time.Duration(t.gauge.cpu.Load()), t.gauge.work.Load()
		}
		t.gauge = nil
		s.Tasks = append(s.Tasks, t)
	}
	return s
}
