package state

import "github.com/sheafgrid/sheaf/task"

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
		switch a := s.attempts.At(slot); a.State {
		case AttemptReported, AttemptValid, AttemptWrong:
			fn(slot, a.Output)
		}
	}
}

// SealedChunks calls fn for each sealed chunk of a stage of which something was
// kept, in the chunks from ≤ chunk < to, and reports whether there are more. A
// chunk whose accepted tasks left nothing behind has no pack.
func (s *State) SealedChunks(stage task.StageID, from, to uint64, fn func(chunk uint64, sheaf, pack task.Digest)) (more bool) {
	chunks := &s.tasks[stage].chunks
	for c := from; c < min(to, chunks.Len()); c++ {
		if k := chunks.At(c); k.Sealed && !k.Sheaf.IsZero() {
			fn(c, k.Sheaf, k.Pack)
		}
	}
	return to < chunks.Len()
}

// Stages is how many stages there are; their numbers are 1 to that.
func (s *State) Stages() task.StageID { return task.StageID(s.stages.Len() - 1) }
