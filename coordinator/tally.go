package coordinator

import (
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// jobStates are the states of jobs, as metrics call them.
var jobStates = [...]string{"running", "done", "cancelled"}

// totals sums up the jobs of a state.
type totals struct {
	jobs                                        [len(jobStates)]int
	untouched, waiting, decided, released, open uint64 // of running jobs, each task under one of these, or none
	live, accepted, failed, sealed              uint64 // tasks
	chunks                                      uint64 // sealed
	attempts, returned, wrong                   uint64
}

// tally goes over all jobs and their levels, of which there are few; it looks at
// no task.
func tally(s *state.State) (t totals) {
	for n := task.JobNumber(1); n <= s.Jobs(); n++ {
		j, _ := s.Job(n)
		switch j.State {
		case state.JobRunning:
			t.jobs[0]++
			t.running(s, n)
		case state.JobDone:
			t.jobs[1]++
		case state.JobCancelled:
			t.jobs[2]++
		}
		t.attempts, t.returned, t.wrong = t.attempts+j.Attempts, t.returned+j.Returned, t.wrong+j.Wrong
		for _, id := range j.Stages {
			st := s.Stage(id)
			// The last chunk of a cancelled job may be sealed before it was begun whole.
			sealed := min(s.Sealed(id), st.Cursor)
			t.live, t.sealed, t.chunks = t.live+st.Cursor-sealed, t.sealed+sealed, t.chunks+st.Sealed
			t.accepted, t.failed = t.accepted+st.Accepted, t.failed+st.Failed
			if j.State == state.JobRunning {
				released := s.Released(id)
				t.decided, t.released = t.decided+st.Accepted+st.Failed-released, t.released+released-sealed
			}
		}
	}
	return t
}

// running adds the current level of a running job.
func (t *totals) running(s *state.State, n task.JobNumber) {
	id := s.CurrentStage(n)
	st := s.Stage(id)
	t.untouched += st.Count - st.Cursor
	t.waiting += s.WaitingCount(id)
	t.open += uint64(s.StageOpen(id))
}
