package state

import "github.com/sheafgrid/sheaf/task"

// release makes the results of one chunk final, once every task of it has its
// verdict (T6): its part of the result tree is computed, credit is earned,
// and what its hosts did becomes public. Attempts still out are not needed.
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
	var tree task.Tree
	failed, errors := uint32(0), uint32(0)
	for i := c.Chunk * ChunkTasks; i < c.Chunk*ChunkTasks+size; i++ {
		tree.Add(s.leaf(c.Stage, i))
		s.releaseTask(c.Stage, i, st.Job)
		switch t := tables.tasks.At(i); {
		case t.State == TaskFailed:
			failed++
		case s.attempts.At(uint64(t.Accepted)).Exit != 0:
			errors++
		}
	}
	chunk := tables.chunks.Edit(c.Chunk)
	chunk.Released, chunk.Root, chunk.Failed, chunk.Errors = true, tree.Root(), failed, errors
	edited := s.stages.Edit(uint64(c.Stage))
	edited.Released++
	edited.Errors += uint64(errors)
	s.noteChunk(c.Stage, c.Chunk)
	s.finishStage(c.Stage)
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

func (s *State) chunkReleased(stage task.StageID, i uint64) bool {
	return s.tasks[stage].chunks.At(i / ChunkTasks).Released
}
