package state

import "github.com/sheafgrid/sheaf/task"

// seal drops the records of a chunk. What they said is in its sheaf, and what
// is needed of it here in the chunk: its root and its counts. A chunk of a
// cancelled job is not released and has no sheaf: its attempts are ended, and
// those with a verdict are paid.
func (s *State) seal(c *Seal) {
	if !s.hasChunk(c.Stage, c.Chunk) {
		return
	}
	st := s.stages.At(uint64(c.Stage))
	chunk := s.tasks[c.Stage].chunks.At(c.Chunk)
	if !s.mayBeSealed(st, chunk) || chunk.Released == c.Sheaf.IsZero() {
		return
	}
	tasks := &s.tasks[c.Stage].tasks
	edited := s.stages.Edit(uint64(c.Stage))
	from, to := c.Chunk*ChunkTasks, min((c.Chunk+1)*ChunkTasks, tasks.Len())
	failed := uint32(0)
	for i := from; i < to; i++ {
		t := tasks.At(i)
		if t.State == TaskFailed {
			failed++
		}
		for slot := t.Last; slot != 0; {
			slot = s.freeAttempt(slot, edited, chunk.Released)
		}
	}
	tasks.drop(from, to)
	sealed := s.tasks[c.Stage].chunks.Edit(c.Chunk)
	sealed.Sealed, sealed.Sheaf, sealed.Pack, sealed.Failed = true, c.Sheaf, c.Pack, failed
	edited.Sealed++
	s.index.stages[c.Stage].sealed(c.Chunk)
	s.noteStage(c.Stage)
	s.gatherEvidence(c.Stage)
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
// is sealed: a leaf for each, its digest.
func (s *State) gatherEvidence(id task.StageID) {
	st := s.stages.At(uint64(id))
	if !s.stageReleased(id) || st.Sealed != st.Released {
		return
	}
	var tree task.Tree
	chunks := &s.tasks[id].chunks
	for c := range chunks.Len() {
		digest := chunks.At(c).Sheaf
		tree.Add(digest[:])
	}
	s.stages.Edit(uint64(id)).Evidence = tree.Root()
}

// mayBeSealed reports whether a chunk's records may go: it is released, or
// never will be.
func (s *State) mayBeSealed(st *Stage, chunk *Chunk) bool {
	return !chunk.Sealed && (chunk.Released || s.jobs.At(uint64(st.Job)).State == JobCancelled)
}

// sealed reports whether the record of a touched task has gone.
func (s *State) sealed(stage task.StageID, i uint64) bool {
	return i < s.tasks[stage].tasks.Len() && !s.tasks[stage].tasks.Has(i)
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
	s.noteStage(stage)
}
