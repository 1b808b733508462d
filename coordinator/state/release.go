package state

import "github.com/sheafgrid/sheaf/task"

// release makes the results of one chunk final, once every task of it has its
// verdict (T6): its part of the result tree is computed, credit is earned,
// and what its hosts did becomes public. Attempts still out are not needed. Of a
// chunk that was released without its late tasks, it releases those.
func (s *State) release(c *Release) {
	if !s.hasChunk(c.Stage, c.Chunk) {
		return
	}
	st := s.stages.At(uint64(c.Stage))
	tables := s.tasks[c.Stage]
	size := chunkSize(st.Count, c.Chunk)
	if chunk := tables.chunks.At(c.Chunk); chunk.Released || uint64(chunk.Decided) != size || s.jobs.At(uint64(st.Job)).State != JobRunning {
		return
	}
	leaf := func(i uint64) []byte { return s.leaf(c.Stage, c.Chunk*ChunkTasks+i) }
	var root task.Digest
	if o := s.overflowed(c.Stage, c.Chunk); o == nil {
		root = task.Prune(size, nil, leaf)[0]
		s.releaseTasks(c.Stage, c.Chunk, func(uint64) bool { return true })
	} else {
		root = task.Graft(size, o.Late, o.Hashes, leaf)
		s.releaseTasks(c.Stage, c.Chunk, o.isLate)
		s.index.stages[c.Stage].early -= size - uint64(len(o.Late))
		s.overflow.Edit(uint64(tables.chunks.At(c.Chunk).Overflow)).Hashes = nil
	}
	chunk := tables.chunks.Edit(c.Chunk)
	chunk.Released, chunk.Root = true, root
	s.stages.Edit(uint64(c.Stage)).Released++
	s.noteChunk(c.Stage, c.Chunk)
	s.finishStage(c.Stage)
}

// releaseTasks makes the results of some tasks of a chunk final.
func (s *State) releaseTasks(stage task.StageID, c uint64, among func(i uint64) bool) {
	tables, job := s.tasks[stage], s.stages.At(uint64(stage)).Job
	failed, errors := uint32(0), uint32(0)
	for i := c * ChunkTasks; i < c*ChunkTasks+s.sizeOf(stage, c); i++ {
		if !among(i) {
			continue
		}
		s.releaseTask(stage, i, job)
		switch t := tables.tasks.At(i); {
		case t.State == TaskFailed:
			failed++
		case s.attempts.At(uint64(t.Accepted)).Exit != 0:
			errors++
		}
	}
	chunk := tables.chunks.Edit(c)
	chunk.Failed, chunk.Errors = chunk.Failed+failed, chunk.Errors+errors
	s.stages.Edit(uint64(stage)).Errors += uint64(errors)
}

// leaf is what the result tree says of a decided task.
func (s *State) leaf(stage task.StageID, i uint64) []byte {
	t := s.tasks[stage].tasks.At(i)
	if t.State == TaskFailed {
		return task.FailedLeaf(i)
	}
	a := s.attempts.At(uint64(t.Accepted))
	return task.Leaf(i, a.Exit, a.Output)
}

func (s *State) releaseTask(stage task.StageID, i uint64, job task.JobNumber) {
	for slot := s.tasks[stage].tasks.At(i).Last; slot != 0; {
		a := s.attempts.At(uint64(slot))
		switch a.State {
		case AttemptValid:
			s.hosts.Edit(uint64(a.Host)).Valid++
			s.earn(a, job)
		case AttemptWrong:
			s.hosts.Edit(uint64(a.Host)).Wrong++
		case AttemptOpen:
			s.closeAttempt(slot, AttemptDropped)
		}
		slot = a.Previous
	}
}

// finishStage computes a stage's root when its last chunk is released, and
// ends the job when there is no level above.
func (s *State) finishStage(id task.StageID) {
	if !s.stageReleased(id) {
		return
	}
	st := s.stages.Edit(uint64(id))
	chunks := &s.tasks[id].chunks
	var tree task.Tree
	for c := range chunks.Len() {
		tree.AddSubtree(chunks.At(c).Root, chunkSize(st.Count, c))
	}
	st.Root = tree.Root()
	if s.index.specs[st.Job].Count(st.Level+1) == 0 {
		s.endJob(st.Job, JobDone)
	}
}
