package client

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sheafgrid/sheaf/client/journal"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// held is an attempt that was accepted and not acknowledged. Run's goroutine
// owns it.
type held struct {
	attempt   protocol.Attempt
	deadline  time.Time // by the monotonic clock of this run
	stage     plan.Stage
	cancelled bool
	retryAt   time.Time
	retries   int
	since     time.Time // it can be reported

	stop     context.CancelFunc // of what goes on: a fetch, a task or an upload
	stopping bool
	then     plan.Kind // what becomes of it once it has stopped
	why      string    // and why, in a sentence

	bundle *bundle         // what it needs to run, while Ready or Running
	result *journal.Result // from Finished on
	began  time.Time       // of the stage Running
	gauge  *gauge          // of the stage Running
}

// gauge is how far a running task has come. Its task's goroutine writes it.
type gauge struct {
	cpu  atomic.Int64 // nanoseconds
	work atomic.Uint64
}

func (g *gauge) set(p sandbox.Progress) {
	g.cpu.Store(int64(p.CPU))
	g.work.Store(p.Work)
}

// busy reports whether a goroutine works for it.
func (h *held) busy() bool { return h.stop != nil }

// planned is what the plan must know of it.
func (h *held) planned() plan.Attempt {
	return plan.Attempt{
		ID: h.attempt.ID, Project: h.attempt.Version.Project, Program: h.attempt.Task.Program, Memory: h.attempt.Task.Limits.Memory,
		Deadline: h.deadline, Term: time.Duration(min(max(h.attempt.Task.Limits.Deadline, 0), task.MaxDeadline)) * time.Millisecond,
		Stage: h.stage, Cancelled: h.cancelled, Stopping: h.stopping, RetryAt: h.retryAt, Since: h.since,
	}
}

// restored is an attempt out of the journal. The deadline goes on by the
// monotonic clock.
func restored(j journal.Held, now time.Time, sent map[task.AttemptID]bool) *held {
	h := &held{attempt: j.Attempt, deadline: now.Add(j.Deadline.Sub(now)), result: j.Result}
	switch {
	case j.Result == nil:
		h.stage = plan.StageAccepted
	case sent[j.Attempt.ID]:
		h.stage = plan.StageSent
	case len(j.Result.Uploads) > 0:
		h.stage = plan.StageFinished
	default:
		h.stage = plan.StageReportable
	}
	return h
}

// reportable says that its report can be sent from now on.
func (h *held) reportable() { h.stage, h.since = plan.StageReportable, time.Now() }

// release gives back the files that it was to run with.
func (h *held) release() {
	if h.bundle != nil {
		h.bundle.Close()
		h.bundle = nil
	}
}
