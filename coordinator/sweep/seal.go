package sweep

import (
	"bytes"
	"context"
	"fmt"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/sheaves"
)

// seal takes one chunk out of the coordinators' memory: its sheaf is on a
// majority of disks before the log says so.
func (s *Sweeper) seal(ctx context.Context) (bool, error) {
	var c state.Seal
	var kept *sheaves.Sheaf
	found := false
	s.node.View(func(st *state.State) {
		if c.Stage, c.Chunk, found = st.NextSealable(0); found {
			kept = st.Collect(c.Stage, c.Chunk)
		}
	})
	if !found {
		return false, nil
	}
	if kept != nil { // else its job was cancelled
		b := kept.Encode()
		c.Sheaf = kept.Digest()
		if err := s.blobs.PutPublicLarge(ctx, c.Sheaf, int64(len(b)), bytes.NewReader(b)); err != nil {
			return true, fmt.Errorf("sheaf of chunk %d of level %d of job %s: %w", c.Chunk, kept.Level, kept.Job, err)
		}
	}
	_, err := s.node.Propose(ctx, &c)
	return true, err
}
