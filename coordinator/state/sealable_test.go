package state

import (
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

// Chunks that may be sealed are found from one on, so that one that cannot be
// sealed does not hide the others.
func TestNextSealable(t *testing.T) {
	s := &State{}
	s.index.stages = make([]stageIndex, 4)
	for _, c := range []struct{ stage, chunk uint64 }{{1, 2}, {1, 5}, {3, 0}} {
		s.index.stages[c.stage].sealable.set(c.chunk, true)
		s.index.sealable.set(c.stage, true)
	}
	for _, c := range []struct {
		from  task.StageID
		after uint64
		stage task.StageID
		chunk uint64
		ok    bool
	}{
		{0, 0, 1, 2, true},
		{0, 9, 1, 2, true}, // the chunk belongs to the stage it is said with
		{1, 2, 1, 2, true},
		{1, 3, 1, 5, true},
		{1, 6, 3, 0, true},
		{3, 1, 0, 0, false},
	} {
		stage, chunk, ok := s.NextSealable(c.from, c.after)
		if stage != c.stage || chunk != c.chunk || ok != c.ok {
			t.Errorf("from chunk %d of stage %d: chunk %d of stage %d (%v), want chunk %d of stage %d (%v)", c.after, c.from, chunk, stage, ok, c.chunk, c.stage, c.ok)
		}
	}
}
