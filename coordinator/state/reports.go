package state

import (
	"github.com/sheafgrid/sheaf/internal/planted"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/validation"
)

// report takes what a host says of one attempt. A result is binding: it is
// never replaced. One that comes after its deadline still counts where the
// task waits for one and the account has no other there, so that a slow
// machine's work is not thrown away.
func (s *State) report(host task.HostID, r Report) protocol.Ack {
	slot, a := s.attempt(r.Attempt)
	if a == nil || a.Host != host {
		return protocol.AckGone
	}
	st := s.stages.At(uint64(a.Stage))
	t := s.tasks[a.Stage].tasks.At(uint64(a.Index))
	late := a.State == AttemptExpired
	switch {
	case a.State == AttemptReported || a.State == AttemptValid || a.State == AttemptWrong:
		if a.State == AttemptValid && planted.Is(planted.DoubleCredit) {
			s.grant(a, st.Job)
		}
		return protocol.AckDuplicate
	case s.jobs.At(uint64(st.Job)).State == JobCancelled:
		return s.giveBack(slot, protocol.FailureNone, protocol.AckCancelled)
	case s.taskReleased(a.Stage, uint64(a.Index)):
		return protocol.AckUnneeded // the release has ended the attempt
	case a.State != AttemptOpen && !late:
		return protocol.AckGone
	case r.Refused:
		return s.giveBack(slot, protocol.FailureProgram, protocol.AckRefused)
	case r.Failure != protocol.FailureNone:
		return s.giveBack(slot, r.Failure, protocol.AckAccepted)
	case late && (t.State != TaskLive || t.Want == 0 || s.Taken(a.Stage, uint64(a.Index), s.hosts.At(uint64(host)).Account)):
		return protocol.AckGone
	}
	s.recordResult(slot, late, r)
	return protocol.AckAccepted
}

// giveBack ends an attempt that brought no result that counts, unless it was
// given up for lost already.
func (s *State) giveBack(slot uint32, why protocol.Failure, ack protocol.Ack) protocol.Ack {
	if s.attempts.At(uint64(slot)).State == AttemptOpen {
		s.attempts.Edit(uint64(slot)).Failure = why
		s.closeAttempt(slot, AttemptReturned)
	}
	return ack
}

func (s *State) recordResult(slot uint32, late bool, r Report) {
	a := s.attempts.Edit(uint64(slot))
	t := s.tasks[a.Stage].tasks.Edit(uint64(a.Index))
	if late {
		t.Want--
	} else {
		s.index.closed(s, slot)
		t.Open--
	}
	a.State = AttemptReported
	a.Exit, a.Work, a.Output = r.Exit, r.Work, r.Output
	t.Reported++
	j := s.jobs.Edit(uint64(s.stages.At(uint64(a.Stage)).Job))
	j.Returned++
	switch t.State {
	case TaskLive:
		s.ripen(t, s.index.specs[s.stages.At(uint64(a.Stage)).Job].Check)
	case TaskAccepted:
		// It was handed out before the verdict: it is paid like the others.
		s.settle(slot, s.attempts.At(uint64(t.Accepted)))
	}
	s.noteTask(a.Stage, uint64(a.Index), t)
}

// vote is a reported attempt as validation sees it.
func (a *Attempt) vote() validation.Vote {
	return validation.Vote{Exit: a.Exit, Output: a.Output, Work: a.Work}
}
