package state

import (
	"math"

	"github.com/sheafgrid/sheaf/internal/planted"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// maxAhead is how far beyond a stage's cursor a pick may lie: the records in
// between are made, and wait.
const maxAhead = 16 * ChunkTasks

// attemptID is how the world names the attempt in a slot.
func attemptID(slot uint32, a *Attempt) task.AttemptID {
	return task.AttemptID(uint64(a.Serial)<<32 | uint64(slot))
}

// attempt finds an attempt by its id. It is nil when the id names nothing, or
// one whose slot another has taken.
func (s *State) attempt(id task.AttemptID) (uint32, *Attempt) {
	slot := uint64(id) & math.MaxUint32
	if slot == 0 || !s.attempts.Has(slot) {
		return 0, nil
	}
	a := s.attempts.At(slot)
	if a.Serial != uint32(id>>32) || a.State == AttemptNone {
		return 0, nil
	}
	return uint32(slot), a
}

// exchange carries out one contact of a host: first what it returned or lost,
// then what was picked for it.
func (s *State) exchange(c *Exchange) Answer {
	id, ok := s.index.hosts[c.Request.Key]
	if !ok {
		return refusal(protocol.Refuse(protocol.CodeUnknownKey, "host %s is not enrolled", c.Request.Key))
	}
	h := s.hosts.Edit(uint64(id))
	h.Seen = s.cluster.Now
	if c.Facts != nil {
		h.Facts = *c.Facts
	}
	var answer Answer
	if n := len(c.Reports); n > 0 {
		answer.Acks = make([]byte, 0, n)
	}
	if n := len(c.Assign); n > 0 {
		answer.Attempts = make([]task.AttemptID, 0, n)
	}
	for _, r := range c.Reports {
		answer.Acks = append(answer.Acks, byte(s.report(id, r)))
	}
	for _, dropped := range c.Dropped {
		if slot, a := s.attempt(dropped); a != nil && a.Host == id && a.State == AttemptOpen {
			s.closeAttempt(slot, AttemptDropped)
		}
	}
	for _, pick := range inOrder(c.Assign) {
		if slot, ok := s.assign(id, pick); ok {
			answer.Attempts = append(answer.Attempts, attemptID(slot, s.attempts.At(uint64(slot))))
		}
	}
	return answer
}

// inOrder is the order of the picks: that in which they were made.
func inOrder(picks []Assignment) []Assignment {
	if !planted.Is(planted.MapOrder) {
		return picks
	}
	set, shuffled := map[Assignment]bool{}, []Assignment(nil)
	for _, p := range picks {
		set[p] = true
	}
	for p := range set {
		shuffled = append(shuffled, p)
	}
	return shuffled
}

// assign gives a task to a host, if it still waits and none of the account's
// other attempts at it counts (T2). A pick that no longer holds is skipped.
func (s *State) assign(host task.HostID, pick Assignment) (slot uint32, ok bool) {
	if pick.Stage == 0 || uint64(pick.Stage) >= s.stages.Len() {
		return 0, false
	}
	st := s.stages.At(uint64(pick.Stage))
	spec := s.index.specs[st.Job]
	if pick.Index >= st.Count || s.jobs.At(uint64(st.Job)).State != JobRunning {
		return 0, false
	}
	if pick.Index >= st.Cursor && !s.extend(pick.Stage, pick.Index, spec.Check.Replicate) {
		return 0, false
	}
	if s.sealed(pick.Stage, pick.Index) {
		return 0, false
	}
	t := s.tasks[pick.Stage].tasks.Edit(pick.Index)
	if t.State != TaskLive || t.Want == 0 || s.Taken(pick.Stage, pick.Index, s.hosts.At(uint64(host)).Account) {
		return 0, false
	}
	limits := spec.Limits
	if st.Level > 0 {
		limits = spec.Reduce.Limits
	}
	slot = s.newAttempt(Attempt{
		Previous: t.Last, Stage: pick.Stage, Index: uint32(pick.Index), Host: host, State: AttemptOpen,
		Deadline: s.cluster.Now + limits.Deadline,
	})
	t.Last = slot
	t.Want--
	t.Open++
	t.Tries++
	s.noteTask(pick.Stage, pick.Index, t)
	s.jobs.Edit(uint64(st.Job)).Attempts++
	s.index.opened(s, slot)
	return slot, true
}

// extend makes records up to and including task i.
func (s *State) extend(stage task.StageID, i uint64, replicate uint8) bool {
	st := s.stages.Edit(uint64(stage))
	if i-st.Cursor >= maxAhead {
		return false
	}
	tables := s.tasks[stage]
	for st.Cursor <= i {
		if st.Cursor%ChunkTasks == 0 {
			tables.chunks.Append(Chunk{})
		}
		t := Task{Want: replicate}
		tables.tasks.Append(t)
		s.noteTask(stage, st.Cursor, &t)
		st.Cursor++
		if st.Cursor%ChunkTasks == 0 || st.Cursor == st.Count {
			s.noteChunk(stage, (st.Cursor-1)/ChunkTasks)
		}
	}
	return true
}

// hastyTries is how many attempts at a task an account may lose or give back
// before their deadlines and still be given it anew: one, for a machine that
// lost its disk.
const hastyTries = 1

// Taken reports whether the task is not for the account: an attempt of the
// account's counts there, or it gave the task up too often already, before the
// deadlines. It must wait for those: else one account could use up all attempts
// at a task in a moment, and so end it failed.
func (s *State) Taken(stage task.StageID, i uint64, account task.AccountID) bool {
	if !s.hasRecord(stage, i) {
		return false
	}
	hasty := 0
	for slot := s.tasks[stage].tasks.At(i).Last; slot != 0; {
		a := s.attempts.At(uint64(slot))
		if s.hosts.At(uint64(a.Host)).Account == account {
			if a.State.Counts() {
				return true
			}
			if a.Deadline > s.cluster.Now {
				hasty++
			}
		}
		slot = a.Previous
	}
	return hasty > hastyTries
}

// closeAttempt ends an open attempt without a result; its task waits for
// another one, as far as it may be tried again.
func (s *State) closeAttempt(slot uint32, end AttemptState) {
	s.index.closed(s, slot)
	a := s.attempts.Edit(uint64(slot))
	a.State = end
	st := s.stages.At(uint64(a.Stage))
	t := s.tasks[a.Stage].tasks.Edit(uint64(a.Index))
	t.Open--
	check := s.index.specs[st.Job].Check
	if t.State == TaskLive {
		if t.Tries+t.Want < check.MaxAttempts {
			t.Want++
		}
		s.ripen(t, check)
	}
	s.noteTask(a.Stage, uint64(a.Index), t)
}

// ripen marks a task to be judged: when enough results are in that they might
// agree, or nothing more is coming.
func (s *State) ripen(t *Task, check task.Check) {
	if int(t.Reported) >= check.Quorum() || t.Want == 0 && t.Open == 0 {
		t.Ripe = true
	}
}

// expire ends attempts whose deadline has passed. One that was returned or
// renewed meanwhile is left alone.
func (s *State) expire(c *Expire) {
	for _, id := range c.Attempts {
		if slot, a := s.attempt(id); a != nil && a.State == AttemptOpen && a.Deadline <= s.cluster.Now {
			s.closeAttempt(slot, AttemptExpired)
		}
	}
}
