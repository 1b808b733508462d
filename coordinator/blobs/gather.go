package blobs

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/sheafgrid/sheaf/internal/pace"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Bounds of what is copied in one message.
const (
	copyBlobs = 1024
	copyBytes = 4 << 20
)

// Copied counts what a node has copied. It may be read while that goes on.
type Copied struct{ Blobs, Bytes atomic.Int64 }

func (c *Copied) add(blobs int, bytes int64) {
	c.Blobs.Add(int64(blobs))
	c.Bytes.Add(bytes)
}

// Gather copies to this node whatever its peers with a vote have and it lacks,
// at no more than rate bytes a second (0: as fast as it goes). It returns how
// many blobs it could not get from the peers that list them: damaged there, or
// deleted meanwhile. An error means that this node could not keep what it got,
// or that no peer could be listed; what was copied stays, and the next Gather
// goes on from there.
func (s *Store) Gather(ctx context.Context, rate int64, done *Copied) (missed int64, err error) {
	// What is copied counts as put now, not as put before this node had a clock.
	ctx, err = s.stamped(ctx)
	if err != nil {
		return 0, err
	}
	peers, err := s.peers()
	if err != nil {
		return 0, err
	}
	g := &gathering{store: s, pace: pace.New(rate), done: done}
	var failed []error
	for _, p := range peers.Voters {
		for _, area := range []Area{Public, Outputs} {
			if s.shared(area, 0) {
				continue
			}
			err := g.from(ctx, p, area)
			if g.own != nil || ctx.Err() != nil {
				return g.missed, errors.Join(g.own, ctx.Err())
			}
			if err != nil {
				failed = append(failed, fmt.Errorf("node %s: %w", p.Name(), err))
				break
			}
		}
	}
	if len(failed) > 0 && len(failed) == len(peers.Voters) {
		return g.missed, errors.Join(failed...)
	}
	return g.missed, nil
}

// gathering is one run of Gather.
type gathering struct {
	store  *Store
	pace   *pace.Pacer
	done   *Copied
	missed int64
	own    error // this node's stores failed

	small []Listed
	bytes int64
}

// from copies what one peer has.
func (g *gathering) from(ctx context.Context, p Peer, area Area) error {
	local := g.store.local[area]
	g.small, g.bytes = g.small[:0], 0
	err := p.List(ctx, area, func(l Listed) error {
		if l.Size < 0 || g.store.shared(area, l.Size) {
			return nil // damaged there, or within reach already
		}
		has, err := hasLocal(ctx, local, l)
		switch {
		case err != nil:
			g.own = err
			return err
		case has:
			return nil
		case l.Size > storage.MaxSmallSize:
			return g.large(ctx, p, area, l.Digest)
		}
		g.small = append(g.small, l)
		g.bytes += l.Size + blobOverhead
		if len(g.small) >= copyBlobs || g.bytes >= copyBytes {
			return g.flush(ctx, p, area)
		}
		return nil
	})
	return errors.Join(err, g.flush(ctx, p, area))
}

// flush copies the small blobs that were noted.
func (g *gathering) flush(ctx context.Context, p Peer, area Area) error {
	if len(g.small) == 0 || g.own != nil {
		return nil
	}
	got, err := getGrouped(ctx, p, area, g.small)
	if err != nil {
		return err
	}
	g.missed += int64(len(g.small) - len(got))
	g.small, g.bytes = g.small[:0], 0
	if err := g.store.local[area].PutBatch(ctx, got); err != nil {
		g.own = err
		return err
	}
	size := int64(0)
	for i := range got {
		size += int64(len(got[i].Bytes))
	}
	g.done.add(len(got), size)
	return g.pace.Wait(ctx, int(size))
}

// getGrouped gets blobs for what they are kept for.
func getGrouped(ctx context.Context, p Peer, area Area, want []Listed) ([]storage.Small, error) {
	digests := make([]task.Digest, 0, len(want))
	for i, l := range want {
		if i == 0 || l.Digest != want[i-1].Digest {
			digests = append(digests, l.Digest)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	came, err := p.GetBatch(ctx, area, digests)
	if err != nil {
		return nil, err
	}
	bodies := make(map[task.Digest][]byte, len(came))
	for i := range came {
		bodies[came[i].Digest] = came[i].Bytes
	}
	var got []storage.Small
	for _, l := range want {
		if b, ok := bodies[l.Digest]; ok {
			got = append(got, storage.Small{Digest: l.Digest, Bytes: b, Group: l.Group})
		}
	}
	return got, nil
}

// large copies one blob as a stream. What the peer got wrong is counted, and
// left to the next one.
func (g *gathering) large(ctx context.Context, p Peer, area Area, d task.Digest) error {
	getting, m := newMoving(ctx)
	defer m.end()
	size, r, err := p.Get(getting, area, d)
	if err != nil {
		g.missed++
		return nil
	}
	defer r.Close() // its bytes are verified or refused
	err = g.store.local[area].Put(ctx, d, size, m.reader(r))
	switch {
	case err == nil:
		g.done.add(1, size)
		return g.pace.Wait(ctx, int(size))
	case errors.Is(err, storage.ErrSource), errors.Is(err, storage.ErrMismatch):
		g.missed++
		return nil
	}
	g.own = err
	return err
}
