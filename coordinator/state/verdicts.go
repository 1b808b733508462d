package state

import (
	"github.com/sheafgrid/sheaf/task"
)

// judge records the verdict on one task, if the facts it rests on still hold:
// a winner needs its quorum, a failure needs that nothing is out. A verdict
// that does not hold any more changes nothing; the task is judged again.
func (s *State) judge(v Verdict) {
	if v.Stage == 0 || uint64(v.Stage) >= s.stages.Len() || !s.hasRecord(v.Stage, v.Index) {
		return
	}
	st := s.stages.At(uint64(v.Stage))
	check := s.index.specs[st.Job].Check
	t := s.tasks[v.Stage].tasks.Edit(v.Index)
	if t.State != TaskLive || s.jobs.At(uint64(st.Job)).State != JobRunning {
		return
	}
	switch {
	case v.Winner != 0:
		s.accept(v, t, check)
	case v.More > 0:
		if t.Open == 0 && t.Want == 0 && int(t.Tries)+int(v.More) <= int(check.MaxAttempts) {
			t.Want, t.Ripe = v.More, false
		}
	case v.Fail != FailNone:
		if t.Open == 0 && t.Want == 0 {
			t.State, t.Fail, t.Ripe = TaskFailed, v.Fail, false
			s.stages.Edit(uint64(v.Stage)).Failed++
			s.decided(v.Stage, v.Index)
		}
	case t.Open > 0 || t.Want > 0:
		t.Ripe = false // it waits for attempts that are out
	}
	s.noteTask(v.Stage, v.Index, t)
}

func (s *State) accept(v Verdict, t *Task, check task.Check) {
	slot, winner := s.attempt(v.Winner)
	if winner == nil || winner.Stage != v.Stage || uint64(winner.Index) != v.Index || winner.State != AttemptReported {
		return
	}
	same := 0
	for k := t.Last; k != 0; k = s.attempts.At(uint64(k)).Previous {
		if a := s.attempts.At(uint64(k)); a.State == AttemptReported && a.vote().Equal(winner.vote()) {
			same++
		}
	}
	if same < check.Quorum() {
		return
	}
	t.State, t.Accepted, t.Want, t.Ripe = TaskAccepted, slot, 0, false
	s.stages.Edit(uint64(v.Stage)).Accepted++
	for k := t.Last; k != 0; k = s.attempts.At(uint64(k)).Previous {
		if s.attempts.At(uint64(k)).State == AttemptReported {
			s.settle(k, s.attempts.At(uint64(slot)))
		}
	}
	s.decided(v.Stage, v.Index)
}

// decided counts a task that has its verdict towards its chunk.
func (s *State) decided(stage task.StageID, i uint64) {
	c := i / ChunkTasks
	s.tasks[stage].chunks.Edit(c).Decided++
	s.noteChunk(stage, c)
}

// settle says of one reported attempt whether it was right, and grants its
// credit. Audits and first attempts are paid alike.
func (s *State) settle(slot uint32, winner *Attempt) {
	want := winner.vote()
	a := s.attempts.Edit(uint64(slot))
	number := s.stages.At(uint64(a.Stage)).Job
	if !a.vote().Equal(want) {
		a.State = AttemptWrong
		s.jobs.Edit(uint64(number)).Wrong++
		return
	}
	a.State = AttemptValid
	s.grant(a, number)
}
