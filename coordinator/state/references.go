package state

import (
	"slices"

	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/task"
)

// What follows lists the blobs that the state refers to. A blob that it does
// not reach, directly or through an index, a sheaf or a list of outputs, is
// nobody's.

// ProgramDigests calls fn for each published program. They are kept for good:
// whoever verifies a result years later may want to run it again.
func (s *State) ProgramDigests(fn func(task.Digest)) {
	for i := uint64(1); i < s.versions.Len(); i++ {
		fn(s.versions.At(i).Program)
	}
}

// NeedsInputs reports whether volunteers may still read what a job reads: it
// runs, or ended no earlier than since. Its results are kept in any case.
func (s *State) NeedsInputs(n task.JobNumber, since task.Millis) bool {
	j := s.jobs.At(uint64(n))
	return j.State == JobRunning || j.Finished >= since
}

// InputDigests calls fn for each blob that a job's specification names beside
// its programs. The pages of a lines index are named by the list that Index is.
func (s *State) InputDigests(n task.JobNumber, fn func(task.Digest)) {
	spec := s.index.specs[n]
	for _, in := range spec.Inputs {
		fn(in.Blob)
		if !in.Pieces.IsZero() {
			fn(in.Pieces)
		}
	}
	if spec.Split.Kind == task.SplitLines {
		fn(spec.Split.Lines.Blob)
	}
}

// AttemptSlots is how many slots of attempts there are or have been; those from
// 1 on may be in use.
func (s *State) AttemptSlots() uint64 { return s.attempts.Len() }

// ReportedOutputs calls fn with the list of outputs of each result that has a
// record, in the slots from ≤ slot < to.
func (s *State) ReportedOutputs(from, to uint64, fn func(slot uint64, list task.Digest)) {
	for slot := max(from, 1); slot < min(to, s.attempts.Len()); slot++ {
		if !s.attempts.Has(slot) {
			continue
		}
		switch a := s.attempts.At(slot); a.State {
		case AttemptReported, AttemptValid, AttemptWrong:
			fn(slot, a.Output)
		}
	}
}

// Part is what was sealed of a chunk at once: all of it, or, of one that was
// released without its late tasks, the others or these.
type Part struct {
	Chunk uint64
	Late  bool
	Sheaf task.Digest
	Pack  task.Digest // none if the accepted tasks left nothing behind
	size  uint64      // tasks of the chunk
	late  []uint16    // places of its late tasks, if there are
	root  task.Digest // of the chunk, if this is all of it
}

// Fits reports whether the part's sheaf has the tasks that it is to have and,
// where it has all of its chunk, the results that were released.
func (p *Part) Fits(kept *sheaves.Sheaf) bool {
	if kept.First != p.Chunk*ChunkTasks || uint64(len(kept.Tasks)) != p.size {
		return false
	}
	for k := range kept.Tasks {
		if kept.Tasks[k].Missing == (slices.Contains(p.late, uint16(k)) == p.Late) {
			return false
		}
	}
	return len(p.late) > 0 || kept.Root() == p.root
}

// Completes reports whether a chunk, made whole with its late tasks, has the results
// that were released.
func (p *Part) Completes(whole *sheaves.Sheaf) bool { return whole.Root() == p.root }

// SealedParts calls fn for what was sealed of a stage and kept, in the chunks
// from ≤ chunk < to, and reports whether there are more.
func (s *State) SealedParts(stage task.StageID, from, to uint64, fn func(Part)) (more bool) {
	chunks := &s.tasks[stage].chunks
	for c := from; c < min(to, chunks.Len()); c++ {
		s.eachPart(stage, c, fn)
	}
	return to < chunks.Len()
}

// eachPart calls fn for what was sealed of a chunk and kept; late tasks come last.
func (s *State) eachPart(stage task.StageID, c uint64, fn func(Part)) {
	k, size := s.tasks[stage].chunks.At(c), s.sizeOf(stage, c)
	var late []uint16
	if o := s.overflowed(stage, c); o != nil {
		if late = o.Late; o.Sealed {
			fn(Part{Chunk: c, Sheaf: o.Sheaf, Pack: o.Pack, size: size, late: late})
		}
	}
	if k.Sealed && !k.Sheaf.IsZero() {
		fn(Part{Chunk: c, Late: late != nil, Sheaf: k.Sheaf, Pack: k.Pack, size: size, late: late, root: k.Root})
	}
}

// PackOf is the pack that holds what a task left behind; none if it is not sealed,
// or none was made.
func (s *State) PackOf(stage task.StageID, i uint64) (pack task.Digest) {
	if i >= s.tasks[stage].tasks.Len() {
		return pack
	}
	o := s.overflowed(stage, i/ChunkTasks)
	s.eachPart(stage, i/ChunkTasks, func(p Part) {
		if o == nil || o.isLate(i) == p.Late {
			pack = p.Pack
		}
	})
	return pack
}

// Stages is how many stages there are; their numbers are 1 to that.
func (s *State) Stages() task.StageID { return task.StageID(s.stages.Len() - 1) }
