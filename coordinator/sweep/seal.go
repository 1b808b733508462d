package sweep

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/planted"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/task"
)

// sealing goes through the chunks that may be sealed.
type sealing struct {
	*Sweeper
	// Where the next look begins: behind the last one, so that a chunk that cannot be
	// sealed is met once a round, and does not hold up all others.
	stage task.StageID
	chunk uint64

	rests   rests
	packing packing
	room    state.SheafRoom
	encoded []byte // the last sheaf
}

func newSealing(s *Sweeper) *sealing {
	x := &sealing{Sweeper: s}
	x.packing = packing{blobs: s.blobs, rests: &x.rests}
	return x
}

// seal takes one chunk out of the coordinators' memory: its sheaf and its pack
// are on a majority of disks before the log says so.
func (s *sealing) seal(ctx context.Context) (bool, error) {
	var c state.Seal
	var kept *sheaves.Sheaf
	found := false
	s.rests.woke = time.Now()
	s.node.View(func(st *state.State) {
		if c.Stage, c.Chunk, found = st.NextSealable(s.stage, s.chunk); !found {
			c.Stage, c.Chunk, found = st.NextSealable(0, 0)
		}
		if found {
			kept, c.Late = st.Collect(c.Stage, c.Chunk, &s.room)
			stage, chunk, more := st.NextSealable(c.Stage, c.Chunk+1)
			if !more {
				stage, chunk, more = st.NextSealable(0, 0)
			}
			s.rests.hurry = more && (stage != c.Stage || chunk != c.Chunk)
		}
	})
	if !found {
		return false, nil
	}
	s.stage, s.chunk = c.Stage, c.Chunk+1
	if kept != nil { // else its job was cancelled before it was released
		if err := s.keep(ctx, &c, kept); err != nil {
			return true, fmt.Errorf("sheaf of chunk %d of level %d of job %s: %w", c.Chunk, kept.Level, kept.Job, err)
		}
	}
	_, err := s.node.Propose(ctx, &c)
	return true, err
}

// keep stores the sheaf and the pack of a chunk.
func (s *sealing) keep(ctx context.Context, c *state.Seal, kept *sheaves.Sheaf) error {
	if err := s.rests.rest(ctx); err != nil {
		return err
	}
	sheaf := kept.Append(s.encoded[:0])
	s.encoded = nil // until nobody reads it any more, as a bucket's client may after an error
	if err := s.rests.rest(ctx); err != nil {
		return err
	}
	c.Sheaf = task.Sum(sheaf)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := s.blobs.PutPublicLarge(ctx, c.Sheaf, int64(len(sheaf)), bytes.NewReader(sheaf))
		if planted.Is(planted.SealBeforeMajority) {
			return nil
		}
		return err
	})
	g.Go(func() (err error) {
		c.Pack, err = s.packing.pack(ctx, c.Stage, c.Chunk, kept)
		return err
	})
	err := g.Wait()
	if err == nil && cap(sheaf) <= keptRoom {
		s.encoded = sheaf
	}
	return err
}
