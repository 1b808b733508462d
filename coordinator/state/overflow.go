package state

import "github.com/sheafgrid/sheaf/task"

// overflowChunk releases a chunk without its late tasks, those few that have no
// verdict yet, so that they do not keep the records of all the others. They stay
// in the table of tasks and go on like any other task there: nothing that hands
// out, reports, expires or judges knows a difference. What the chunk's root needs
// of the others is kept as a pruned tree. Which chunk is worth it, and when, is
// the leader's to say.
func (s *State) overflowChunk(c *Overflow) {
	if !s.hasChunk(c.Stage, c.Chunk) || !s.mayOverflow(c.Stage, c.Chunk) {
		return
	}
	tables, first, size := s.tasks[c.Stage], c.Chunk*ChunkTasks, s.sizeOf(c.Stage, c.Chunk)
	o := Overflowed{Stage: c.Stage, Chunk: c.Chunk}
	for i := range size {
		if tables.tasks.At(first+i).State == TaskLive {
			o.Late = append(o.Late, uint16(i))
		}
	}
	o.Hashes = task.Prune(size, o.Late, func(i uint64) []byte { return s.leaf(c.Stage, first+i) })
	tables.chunks.Edit(c.Chunk).Overflow = uint32(s.overflow.Append(o))
	s.releaseTasks(c.Stage, c.Chunk, func(i uint64) bool { return !o.isLate(i) })
	s.index.stages[c.Stage].early += size - uint64(len(o.Late))
	s.noteChunk(c.Stage, c.Chunk)
}

// mayOverflow reports whether a chunk can be released without some tasks: all of
// it has been begun, and few tasks are undecided, but not all.
func (s *State) mayOverflow(stage task.StageID, c uint64) bool {
	st, chunk, size := s.stages.At(uint64(stage)), s.tasks[stage].chunks.At(c), s.sizeOf(stage, c)
	undecided := size - uint64(chunk.Decided)
	return s.jobs.At(uint64(st.Job)).State == JobRunning && !chunk.Released && chunk.Overflow == 0 &&
		st.Cursor >= c*ChunkTasks+size && chunk.Decided > 0 && undecided > 0 && undecided <= MaxOverflow
}

// overflowed is what there is beside a chunk that was released without its late
// tasks, or nil for any other.
func (s *State) overflowed(stage task.StageID, c uint64) *Overflowed {
	if place := s.tasks[stage].chunks.At(c).Overflow; place != 0 {
		return s.overflow.At(uint64(place))
	}
	return nil
}

// taskReleased reports whether the result of a task that was touched is final.
func (s *State) taskReleased(stage task.StageID, i uint64) bool {
	c := i / ChunkTasks
	if s.tasks[stage].chunks.At(c).Released {
		return true
	}
	o := s.overflowed(stage, c)
	return o != nil && !o.isLate(i)
}

// hasRecord reports whether there is a record of a task: it was touched, and not
// sealed.
func (s *State) hasRecord(stage task.StageID, i uint64) bool {
	tasks := &s.tasks[stage].tasks
	return tasks.Has(i) && tasks.At(i).State != TaskGone
}

// sizeOf is how many tasks a chunk has.
func (s *State) sizeOf(stage task.StageID, c uint64) uint64 {
	return chunkSize(s.stages.At(uint64(stage)).Count, c)
}

// overflowFits: the late tasks of a chunk are some of it, with the tree of the
// others.
func (s *State) overflowFits(id task.StageID, c uint64) bool {
	chunk := s.tasks[id].chunks.At(c)
	if chunk.Overflow == 0 {
		return true
	}
	if uint64(chunk.Overflow) >= s.overflow.Len() || c*ChunkTasks >= s.stages.At(uint64(id)).Count {
		return false
	}
	o, size := s.overflow.At(uint64(chunk.Overflow)), s.sizeOf(id, c)
	if o.Stage != id || o.Chunk != c || len(o.Late) == 0 || len(o.Late) > MaxOverflow || s.tasks[id].tasks.Len() < c*ChunkTasks+size {
		return false
	}
	for k, place := range o.Late {
		if uint64(place) >= size || k > 0 && o.Late[k-1] >= place {
			return false
		}
	}
	return chunk.Released && len(o.Hashes) == 0 || !chunk.Released && len(o.Hashes) == task.PrunedSize(size, o.Late)
}

// kept reports whether a table has something of a task, and whether that is a
// record, or only says that it is sealed (dropAround).
func (s *State) kept(id task.StageID, i uint64) (there, record bool) {
	o := s.overflowed(id, i/ChunkTasks)
	switch {
	case s.tasks[id].chunks.At(i / ChunkTasks).Sealed:
		return false, false
	case o == nil || !o.Sealed:
		return true, true
	}
	page := i / pageSize * pageSize
	return o.anyLate(page, page+pageSize), o.isLate(i)
}

// overflowed: the late tasks of a chunk are those without a verdict and those that
// got theirs since; the tree of the others is there until the chunk has its root.
func (c *checker) overflowed(id task.StageID, k uint64, n verdicts) {
	s := c.s
	chunk, o := s.tasks[id].chunks.At(k), s.overflowed(id, k)
	if o == nil {
		c.expect(chunk.Released || chunk.Errors == 0, "stage %d: chunk %d counts errors before its release", id, k)
		return
	}
	c.expect(s.overflowFits(id, k), "stage %d: chunk %d and its place in the overflow table do not fit", id, k)
	c.expect(chunk.Sealed || uint64(chunk.Decided)+uint64(len(o.Late)) >= s.sizeOf(id, k), "T6: stage %d: chunk %d is released without %d tasks, and has %d verdicts", id, k, len(o.Late), chunk.Decided)
	c.expect(o.Sealed != o.Sheaf.IsZero() && (o.Sealed || !chunk.Sealed), "stage %d: what chunk %d has beside its late tasks is sealed without a sheaf, or after them", id, k)
	c.expect(chunk.Released || chunk.Sealed || n.gone == 0 || n.gone == s.sizeOf(id, k)-uint64(len(o.Late)), "stage %d: %d tasks of chunk %d are sealed, %d are late", id, n.gone, k, len(o.Late))
	if o.Sealed {
		return
	}
	for i := k * ChunkTasks; i < k*ChunkTasks+s.sizeOf(id, k); i++ {
		t := s.tasks[id].tasks.At(i)
		c.expect(o.isLate(i) || t.State != TaskLive && t.Open == 0, "T6: task %d of stage %d is released without a verdict", i, id)
	}
}
