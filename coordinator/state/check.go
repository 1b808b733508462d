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
	var gone int64 // credit of attempts whose records are sealed
	s.eachAttempt(func(i uint64, a *Attempt) {
		if a.State != AttemptValid {
			return
		}
		c.expect(a.Credit() > 0, "C1: attempt %d is valid and has no credit", i)
		if s.taskReleased(a.Stage, uint64(a.Index)) {
			earned[a.Host] += a.Credit()
		} else {
			pending[a.Host] += a.Credit()
		}
		perJob[s.stages.At(uint64(a.Stage)).Job] += a.Credit()
	})
	for i := uint64(1); i < s.stages.Len(); i++ {
		st := s.stages.At(i)
		gone += st.SealedCredit
		perJob[st.Job] += st.SealedCredit
	}
	var sum, left int64
	for i := uint64(1); i < s.hosts.Len(); i++ {
		h := s.hosts.At(i)
		c.expect(h.Pending == pending[i] && h.Earned >= earned[i], "C1: host %d has credit %d pending and %d earned, its attempts give %d and %d", i, h.Pending, h.Earned, pending[i], earned[i])
		sum += h.Pending + h.Earned
		left += h.Earned - earned[i]
	}
	c.expect(left == gone, "C1: hosts earned %d for sealed attempts, the stages count %d", left, gone)
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
	for id := uint64(1); id < c.s.stages.Len(); id++ {
		c.stage(task.StageID(id))
	}
}

// stage: its counts are those of its chunks, and theirs those of their tasks.
func (c *checker) stage(id task.StageID) {
	s := c.s
	st, tables := s.stages.At(uint64(id)), s.tasks[id]
	var accepted, failed, released, sealed, ended uint64
	for k := range tables.chunks.Len() {
		chunk := tables.chunks.At(k)
		n := c.chunk(id, k, chunk)
		accepted, failed = accepted+n.accepted, failed+n.failed
		ended += uint64(chunk.Errors)
		if chunk.Released {
			released++
			c.expect(n.accepted+n.failed == chunkSize(st.Count, k), "T6: stage %d: chunk %d is released with %d verdicts", id, k, n.accepted+n.failed)
			c.expect(uint64(chunk.Failed) == n.failed && (n.gone > 0 || uint64(chunk.Errors) == n.errors),
				"stage %d: chunk %d counts %d failed and %d errors, its tasks have %d and %d", id, k, chunk.Failed, chunk.Errors, n.failed, n.errors)
		}
		c.overflowed(id, k, n)
		if chunk.Sealed {
			sealed++
			c.expect(chunk.Released != chunk.Sheaf.IsZero(), "stage %d: chunk %d is sealed without a sheaf, or the wrong way round", id, k)
		}
	}
	c.expect(st.Errors == ended && st.Accepted == accepted && st.Failed == failed && st.Released == released && st.Sealed == sealed,
		"stage %d counts %d errors, %d accepted, %d failed, %d released, %d sealed; its chunks give %d, %d, %d, %d, %d",
		id, st.Errors, st.Accepted, st.Failed, st.Released, st.Sealed, ended, accepted, failed, released, sealed)
	c.expect(st.Cursor == tables.tasks.Len() && st.Cursor <= st.Count && tables.chunks.Len() == chunksOf(st.Cursor),
		"stage %d has touched %d of %d tasks, and has records for %d in %d chunks", id, st.Cursor, st.Count, tables.tasks.Len(), tables.chunks.Len())
	c.expect(st.Root.IsZero() == !s.stageReleased(id), "stage %d: a root and unreleased chunks, or none without", id)
	c.expect(st.Evidence.IsZero() == !(s.stageReleased(id) && st.Sealed == st.Released), "stage %d: evidence and unsealed chunks, or none without", id)
}

// verdicts are what became of a chunk's tasks.
type verdicts struct{ accepted, failed, errors, gone uint64 }

func (c *checker) chunk(id task.StageID, k uint64, chunk *Chunk) (n verdicts) {
	s := c.s
	tasks := &s.tasks[id].tasks
	for i := k * ChunkTasks; i < min((k+1)*ChunkTasks, tasks.Len()); i++ {
		there, record := s.kept(id, i)
		c.expect(tasks.Has(i) == there && s.hasRecord(id, i) == record, "stage %d: task %d is there although it is sealed, or is not although it is not", id, i)
		if !s.hasRecord(id, i) {
			n.gone++
			continue
		}
		t := tasks.At(i)
		c.task(id, i, t)
		switch t.State {
		case TaskAccepted:
			n.accepted++
			if s.attempts.At(uint64(t.Accepted)).Exit != 0 {
				n.errors++
			}
		case TaskFailed:
			n.failed++
		}
	}
	if chunk.Sealed {
		return verdicts{accepted: uint64(chunk.Decided - chunk.Failed), failed: uint64(chunk.Failed), gone: n.gone}
	}
	if n.gone > 0 { // their verdicts are the chunk's, but for those of late tasks
		failed := uint64(chunk.Failed)
		if chunk.Released {
			failed -= n.failed
		}
		n.accepted, n.failed = n.accepted+n.gone-failed, n.failed+failed
	}
	c.expect(uint64(chunk.Decided) == n.accepted+n.failed, "stage %d: chunk %d counts %d verdicts, its tasks have %d", id, k, chunk.Decided, n.accepted+n.failed)
	return n
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
		if a.State == AttemptValid {
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
	s.eachAttempt(func(i uint64, a *Attempt) {
		made[s.stages.At(uint64(a.Stage)).Job]++
		if !s.taskReleased(a.Stage, uint64(a.Index)) {
			return
		}
		c.expect(a.State != AttemptOpen, "attempt %d is open at a released task", i)
		if a.State == AttemptValid {
			valid[a.Host]++
		}
		if a.State == AttemptWrong {
			wrong[a.Host]++
		}
	})
	for i := uint64(1); i < s.stages.Len(); i++ {
		made[s.stages.At(i).Job] += s.stages.At(i).SealedAttempts
	}
	for i := uint64(1); i < s.hosts.Len(); i++ {
		h := s.hosts.At(i)
		c.expect(h.Valid >= valid[i] && h.Wrong >= wrong[i], "host %d counts %d valid and %d wrong, its attempts give %d and %d", i, h.Valid, h.Wrong, valid[i], wrong[i])
	}
	for i := uint64(1); i < s.jobs.Len(); i++ {
		c.expect(s.jobs.At(i).Attempts == made[i], "job %d counts %d attempts, there are %d", i, s.jobs.At(i).Attempts, made[i])
	}
}
