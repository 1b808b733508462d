package state

import (
	"errors"
	"fmt"

	"github.com/sheafgrid/sheaf/task"
)

// Check recomputes from the records everything that must hold between them,
// and reports all that does not. Tests call it after every entry; an operator
// calls it through the program's own file check. It takes time that grows with
// the state.
func (s *State) Check() error {
	c := checker{s: s}
	c.apps()
	c.ledger()
	c.stages()
	c.attempts()
	c.index()
	return errors.Join(c.errs...)
}

type checker struct {
	s    *State
	errs []error
}

func (c *checker) expect(ok bool, format string, args ...any) {
	if !ok && len(c.errs) < 20 {
		c.errs = append(c.errs, fmt.Errorf(format, args...))
	}
}

// apps: each has a version, the one that made it.
func (c *checker) apps() {
	published := make([]bool, c.s.apps.Len())
	for i := uint64(1); i < c.s.versions.Len(); i++ {
		published[c.s.versions.At(i).App] = true
	}
	for i := uint64(1); i < c.s.apps.Len(); i++ {
		c.expect(published[i], "app %d has no version", i)
	}
}

// ledger: all balances sum to zero, and each is the sum of its attempts (C1).
func (c *checker) ledger() {
	s := c.s
	pending := make([]int64, s.hosts.Len())
	earned := make([]int64, s.hosts.Len())
	perJob := make([]int64, s.jobs.Len())
	for i := uint64(1); i < s.attempts.Len(); i++ {
		a := s.attempts.At(i)
		c.expect((a.Credit > 0) == (a.State == AttemptValid), "C1: attempt %d in state %d has credit %d", i, a.State, a.Credit)
		if s.chunkReleased(a.Stage, uint64(a.Index)) || s.jobs.At(uint64(s.stages.At(uint64(a.Stage)).Job)).State == JobCancelled {
			earned[a.Host] += a.Credit
		} else {
			pending[a.Host] += a.Credit
		}
		perJob[s.stages.At(uint64(a.Stage)).Job] += a.Credit
	}
	var sum int64
	for i := uint64(1); i < s.hosts.Len(); i++ {
		h := s.hosts.At(i)
		c.expect(h.Pending == pending[i] && h.Earned == earned[i], "C1: host %d has credit %d pending and %d earned, its attempts give %d and %d", i, h.Pending, h.Earned, pending[i], earned[i])
		sum += h.Pending + h.Earned
	}
	for i := uint64(1); i < s.projects.Len(); i++ {
		p := s.projects.At(i)
		c.expect(p.Pending <= 0 && p.Spent <= 0, "C1: project %d has a positive balance", i)
		sum += p.Pending + p.Spent
	}
	c.expect(sum == 0, "C1: the balances sum to %d", sum)
	for i := uint64(1); i < s.jobs.Len(); i++ {
		c.expect(s.jobs.At(i).Credit == perJob[i], "C1: job %d granted %d, its attempts give %d", i, s.jobs.At(i).Credit, perJob[i])
	}
}

func (c *checker) stages() {
	s := c.s
	for id := uint64(1); id < s.stages.Len(); id++ {
		st, tables := s.stages.At(id), s.tasks[id]
		var accepted, failed, released, ended uint64
		decided := make([]uint32, tables.chunks.Len())
		for i := range tables.tasks.Len() {
			t := tables.tasks.At(i)
			c.task(task.StageID(id), i, t)
			switch t.State {
			case TaskAccepted:
				accepted++
				if s.chunkReleased(task.StageID(id), i) && s.attempts.At(uint64(t.Accepted)).Exit != 0 {
					ended++
				}
				decided[i/ChunkTasks]++
			case TaskFailed:
				failed++
				decided[i/ChunkTasks]++
			}
		}
		for k := range tables.chunks.Len() {
			chunk := tables.chunks.At(k)
			c.expect(chunk.Decided == decided[k], "stage %d: chunk %d counts %d verdicts, its tasks have %d", id, k, chunk.Decided, decided[k])
			if chunk.Released {
				released++
				c.expect(uint64(decided[k]) == chunkSize(st.Count, k), "T6: stage %d: chunk %d is released with %d verdicts", id, k, decided[k])
			}
		}
		c.expect(st.Errors == ended, "stage %d counts %d errors, its results have %d", id, st.Errors, ended)
		c.expect(st.Accepted == accepted && st.Failed == failed && st.Released == released && st.Cursor == tables.tasks.Len() && st.Cursor <= st.Count,
			"stage %d counts %d accepted, %d failed, %d released, %d touched; its records give %d, %d, %d, %d",
			id, st.Accepted, st.Failed, st.Released, st.Cursor, accepted, failed, released, tables.tasks.Len())
		c.expect(st.Root.IsZero() == !s.stageReleased(task.StageID(id)), "stage %d: a root and unreleased chunks, or none without", id)
	}
}

// task: its counters are those of its attempts, and no two that count belong
// to one account (T2).
func (c *checker) task(stage task.StageID, i uint64, t *Task) {
	s := c.s
	var open, reported, tries uint8
	accounts := map[task.AccountID]bool{}
	credited := map[task.HostID]bool{}
	for slot := t.Last; slot != 0; {
		a := s.attempts.At(uint64(slot))
		tries++
		c.expect(a.Stage == stage && uint64(a.Index) == i, "attempt %d hangs at task %d of stage %d, and is at %d of %d", slot, i, stage, a.Index, a.Stage)
		if a.State == AttemptOpen {
			open++
		}
		if a.State == AttemptReported || a.State == AttemptValid || a.State == AttemptWrong {
			reported++
		}
		if a.State.Counts() {
			account := s.hosts.At(uint64(a.Host)).Account
			c.expect(!accounts[account], "T2: task %d of stage %d has two attempts of account %d", i, stage, account)
			accounts[account] = true
		}
		if a.Credit > 0 {
			c.expect(!credited[a.Host], "C1: task %d of stage %d is credited twice to host %d", i, stage, a.Host)
			credited[a.Host] = true
		}
		c.expect(a.State != AttemptReported || t.State != TaskAccepted, "attempt %d waits for the verdict of a decided task", slot)
		slot = a.Previous
	}
	c.expect(t.Open == open && t.Reported == reported && t.Tries == tries,
		"task %d of stage %d counts %d open, %d reported, %d tries; its attempts give %d, %d, %d", i, stage, t.Open, t.Reported, t.Tries, open, reported, tries)
	check := s.index.specs[s.stages.At(uint64(stage)).Job].Check
	c.expect(t.Tries+t.Want <= max(check.MaxAttempts, check.Replicate), "task %d of stage %d: %d tries and %d wanted, at most %d", i, stage, t.Tries, t.Want, check.MaxAttempts)
	switch t.State {
	case TaskLive:
		c.expect(t.Want > 0 || t.Open > 0 || t.Ripe, "P4: task %d of stage %d waits for nothing", i, stage)
	case TaskAccepted:
		c.expect(t.Want == 0 && !t.Ripe, "task %d of stage %d is accepted and wants more", i, stage)
		c.accepted(stage, i, t)
	case TaskFailed:
		c.expect(t.Want == 0 && !t.Ripe && t.Open == 0 && t.Fail != FailNone, "task %d of stage %d failed for no reason, or wants more", i, stage)
	}
}

// accepted: the result has its quorum, and everybody was judged by it.
func (c *checker) accepted(stage task.StageID, i uint64, t *Task) {
	s := c.s
	winner := s.attempts.At(uint64(t.Accepted))
	same := 0
	for slot := t.Last; slot != 0; slot = s.attempts.At(uint64(slot)).Previous {
		a := s.attempts.At(uint64(slot))
		if a.State == AttemptValid {
			same++
			c.expect(a.vote().Equal(winner.vote()), "task %d of stage %d: a valid attempt differs from the accepted one", i, stage)
		}
		if a.State == AttemptWrong {
			c.expect(!a.vote().Equal(winner.vote()), "T5: task %d of stage %d: a right attempt is called wrong", i, stage)
		}
	}
	quorum := s.index.specs[s.stages.At(uint64(stage)).Job].Check.Quorum()
	c.expect(same >= quorum, "task %d of stage %d is accepted by %d, quorum %d", i, stage, same, quorum)
}

func (c *checker) attempts() {
	s := c.s
	valid := make([]uint64, s.hosts.Len())
	wrong := make([]uint64, s.hosts.Len())
	made := make([]uint64, s.jobs.Len())
	for i := uint64(1); i < s.attempts.Len(); i++ {
		a := s.attempts.At(i)
		made[s.stages.At(uint64(a.Stage)).Job]++
		if !s.chunkReleased(a.Stage, uint64(a.Index)) {
			continue
		}
		c.expect(a.State != AttemptOpen, "attempt %d is open in a released chunk", i)
		if a.State == AttemptValid {
			valid[a.Host]++
		}
		if a.State == AttemptWrong {
			wrong[a.Host]++
		}
	}
	for i := uint64(1); i < s.hosts.Len(); i++ {
		h := s.hosts.At(i)
		c.expect(h.Valid == valid[i] && h.Wrong == wrong[i], "host %d counts %d valid and %d wrong, its attempts give %d and %d", i, h.Valid, h.Wrong, valid[i], wrong[i])
	}
	for i := uint64(1); i < s.jobs.Len(); i++ {
		c.expect(s.jobs.At(i).Attempts == made[i], "job %d counts %d attempts, there are %d", i, s.jobs.At(i).Attempts, made[i])
	}
}

// index: what is derived is what deriving it again gives.
func (c *checker) index() {
	s := c.s
	for id := uint64(1); id < s.stages.Len(); id++ {
		x := &s.index.stages[id]
		waiting, ripe := uint64(0), uint64(0)
		for i := range s.tasks[id].tasks.Len() {
			t := s.tasks[id].tasks.At(i)
			if t.State == TaskLive && t.Want > 0 {
				waiting++
				k, ok := x.waiting.next(i)
				c.expect(ok && k == i, "index: task %d of stage %d is not found waiting", i, id)
			}
			if t.State == TaskLive && t.Ripe {
				ripe++
				k, ok := x.ripe.next(i)
				c.expect(ok && k == i, "index: task %d of stage %d is not found ripe", i, id)
			}
		}
		c.expect(x.waiting.count == waiting && x.ripe.count == ripe, "index: stage %d has %d waiting and %d ripe, found %d and %d", id, waiting, ripe, x.waiting.count, x.ripe.count)
	}
	open := make([]int, s.hosts.Len())
	perStage := make([]int, s.stages.Len())
	for i := uint64(1); i < s.attempts.Len(); i++ {
		a := s.attempts.At(i)
		if a.State != AttemptOpen {
			continue
		}
		open[a.Host]++
		perStage[a.Stage]++
		x := &s.index.stages[a.Stage]
		c.expect(x.soonest[a.Index/ChunkTasks] <= a.Deadline, "index: attempt %d expires before its chunk is looked at", i)
	}
	for i := uint64(1); i < s.hosts.Len(); i++ {
		c.expect(len(s.index.open[i]) == open[i], "index: host %d holds %d attempts, the index has %d", i, open[i], len(s.index.open[i]))
	}
	for id := uint64(1); id < s.stages.Len(); id++ {
		c.expect(s.index.stages[id].open == perStage[id], "index: stage %d has %d attempts out, the index has %d", id, perStage[id], s.index.stages[id].open)
	}
	running := 0
	for i := uint64(1); i < s.jobs.Len(); i++ {
		if s.jobs.At(i).State == JobRunning {
			running++
		}
	}
	c.expect(len(s.index.active) == running, "index: %d jobs run, the index has %d", running, len(s.index.active))
}
