package state

import "github.com/sheafgrid/sheaf/task"

// seal drops the records of a chunk. What they said is in its sheaf, and what
// is needed of it here in the chunk: its root and its counts. A chunk of a
// cancelled job is not released and has no sheaf: its attempts are ended, and
// those with a verdict are paid. A chunk that was released without its late tasks
// is sealed in two parts: first the others, and the late ones once they too are
// released, or their job is cancelled.
func (s *State) seal(c *Seal) {
	if !s.hasChunk(c.Stage, c.Chunk) {
		return
	}
	st := s.stages.At(uint64(c.Stage))
	chunk, o := s.tasks[c.Stage].chunks.At(c.Chunk), s.overflowed(c.Stage, c.Chunk)
	before := o != nil && !o.Sealed // the part that does not wait for the late ones
	released := before || chunk.Released
	if !s.mayBeSealed(st, chunk) || c.Late != (o != nil && !before) || released == c.Sheaf.IsZero() {
		return
	}
	tasks, x := &s.tasks[c.Stage].tasks, &s.index.stages[c.Stage]
	edited := s.stages.Edit(uint64(c.Stage))
	from, to := c.Chunk*ChunkTasks, min((c.Chunk+1)*ChunkTasks, tasks.Len())
	failed := uint32(0)
	for i := from; i < to; i++ {
		if !s.hasRecord(c.Stage, i) || before && o.isLate(i) {
			continue
		}
		t := tasks.At(i)
		if t.State == TaskFailed && !released {
			failed++
		}
		for slot := t.Last; slot != 0; {
			slot = s.freeAttempt(slot, edited, released)
		}
	}
	if before {
		s.dropAround(tasks, o, from, to)
		o = s.overflow.Edit(uint64(chunk.Overflow))
		o.Sealed, o.Sheaf, o.Pack = true, c.Sheaf, c.Pack
		x.earlySealed += to - from - uint64(len(o.Late))
		s.noteChunk(c.Stage, c.Chunk)
		return
	}
	tasks.drop(from, to)
	if o != nil {
		x.earlySealed -= to - from - uint64(len(o.Late))
	}
	sealed := s.tasks[c.Stage].chunks.Edit(c.Chunk)
	sealed.Sealed, sealed.Sheaf, sealed.Pack, sealed.Failed = true, c.Sheaf, c.Pack, sealed.Failed+failed
	edited.Sealed++
	x.sealed(c.Chunk)
	s.noteStage(c.Stage)
	s.gatherEvidence(c.Stage)
}

// dropAround drops the records of a chunk's tasks but for the late ones: whole
// pages, and what stands beside a late one is marked as gone.
func (s *State) dropAround(tasks *Table[Task], o *Overflowed, from, to uint64) {
	for page := from; page < to; page += pageSize {
		end := min(page+pageSize, to)
		if !o.anyLate(page, end) {
			tasks.drop(page, end)
			continue
		}
		for i := page; i < end; i++ {
			if !o.isLate(i) {
				*tasks.Edit(i) = Task{State: TaskGone}
			}
		}
	}
}

// freeAttempt counts an attempt towards its stage, gives its slot back, and
// returns the one before it.
func (s *State) freeAttempt(slot uint32, st *Stage, released bool) (previous uint32) {
	a := *s.attempts.At(uint64(slot))
	if a.State == AttemptOpen { // of a cancelled job
		s.index.closed(s, slot)
		s.index.changes.note(st.Job)
	}
	if !released && a.State == AttemptValid {
		s.earn(&a, st.Job)
	}
	st.SealedAttempts++
	st.SealedCredit += a.Credit()
	s.freeSlot(uint64(slot))
	return a.Previous
}

// gatherEvidence computes the root over a stage's sheaves when its last chunk
// is sealed: a leaf for each, its digest. That of late tasks follows the other
// one of its chunk.
func (s *State) gatherEvidence(id task.StageID) {
	st := s.stages.At(uint64(id))
	if !s.stageReleased(id) || st.Sealed != st.Released {
		return
	}
	var tree task.Tree
	chunks := &s.tasks[id].chunks
	for c := range chunks.Len() {
		s.eachPart(id, c, func(p Part) { tree.Add(p.Sheaf[:]) })
	}
	s.stages.Edit(uint64(id)).Evidence = tree.Root()
}

// mayBeSealed reports whether some records of a chunk may go: they are released,
// or never will be.
func (s *State) mayBeSealed(st *Stage, chunk *Chunk) bool {
	return !chunk.Sealed && (chunk.Released || s.jobs.At(uint64(st.Job)).State == JobCancelled ||
		chunk.Overflow != 0 && !s.overflow.At(uint64(chunk.Overflow)).Sealed)
}

// sealed reports whether the record of a touched task has gone.
func (s *State) sealed(stage task.StageID, i uint64) bool {
	return i < s.tasks[stage].tasks.Len() && !s.hasRecord(stage, i)
}

func (s *State) hasChunk(stage task.StageID, chunk uint64) bool {
	return stage != 0 && uint64(stage) < s.stages.Len() && chunk < s.tasks[stage].chunks.Len()
}

// noteChunk files a chunk under what is to be done with it.
func (s *State) noteChunk(stage task.StageID, c uint64) {
	st, chunk, x := s.stages.At(uint64(stage)), s.tasks[stage].chunks.At(c), &s.index.stages[stage]
	running := s.jobs.At(uint64(st.Job)).State == JobRunning
	x.ready.set(c, running && !chunk.Released && uint64(chunk.Decided) == chunkSize(st.Count, c))
	x.sealable.set(c, s.mayBeSealed(st, chunk))
	x.lagging.set(c, s.mayOverflow(stage, c))
	s.noteStage(stage)
}
