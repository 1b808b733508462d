package sweep

import (
	"context"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

const (
	// overflowEvery is how often the leader looks for chunks that a few tasks pin:
	// each was live for minutes at least.
	overflowEvery = 10 * time.Second

	// behind is how many chunks of a level must have been begun after one before
	// it is released without its last tasks, though these may only be slow.
	behind = 16

	// share is the part of a chunk that may drag on: with more, most of what is
	// to be gained would be left.
	share = 64
)

// overflow releases chunks without the few tasks that drag on: their level has
// gone on well beyond them, or a task is past the deadline of its first attempt.
func (s *Sweeper) overflow(ctx context.Context) error {
	var due []*state.Overflow
	s.node.View(func(st *state.State) {
		for _, n := range st.ActiveJobs() {
			stage := st.CurrentStage(n)
			for c, ok := st.NextLagging(stage, 0); ok; c, ok = st.NextLagging(stage, c+1) {
				if worthwhile(st, stage, c) {
					due = append(due, &state.Overflow{Stage: stage, Chunk: c})
				}
			}
		}
	})
	for _, c := range due {
		if _, err := s.node.Propose(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func worthwhile(st *state.State, stage task.StageID, chunk uint64) bool {
	k, _ := st.Chunk(stage, chunk)
	level := st.Stage(stage)
	size := min(state.ChunkTasks, level.Count-chunk*state.ChunkTasks)
	if (size-uint64(k.Decided))*share > size {
		return false
	}
	return level.Cursor > (chunk+behind)*state.ChunkTasks || st.DragsOn(stage, chunk)
}
