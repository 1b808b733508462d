package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/diskwatch"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/segments"
	"github.com/sheafgrid/sheaf/storage/tiered"
	"github.com/sheafgrid/sheaf/task"
)

// smallOutputs is the folder of outputs that share files.
const smallOutputs = "segments"

// outputs keeps what hosts returned: small outputs, and the lists of all, in
// segments; large ones each by itself.
type outputs struct {
	*tiered.Store
	watched watchedBlobs // the same
	small   *segments.Store
	large   *dir.Store
}

// openPublic opens the store of programs, inputs, indexes and sheaves.
func openPublic(ctx context.Context, cfg *Config) (*dir.Store, error) {
	return dir.Open(ctx, dir.Config{Path: filepath.Join(cfg.Dir, string(blobs.Public)), Quota: cfg.Quota})
}

func openOutputs(ctx context.Context, cfg *Config, disk *diskwatch.Watch) (*outputs, error) {
	small, err := segments.Open(ctx, segments.Config{Path: filepath.Join(cfg.Dir, smallOutputs), Quota: cfg.Quota})
	if err != nil {
		return nil, err
	}
	if d := small.Damage(); d != (segments.Damage{}) {
		cfg.Logger.Warn("outputs are damaged; what is lost is fetched from other coordinators when it is read", "folder", smallOutputs, "damage", fmt.Sprintf("%+v", d))
	}
	large, err := dir.Open(ctx, dir.Config{Path: filepath.Join(cfg.Dir, string(blobs.Outputs)), Quota: cfg.Quota})
	if err != nil {
		return nil, errors.Join(err, small.Close())
	}
	both := tiered.New(small, large)
	return &outputs{Store: both, watched: watchedBlobs{both, disk, cfg.Dir}, small: small, large: large}, nil
}

// Put stores an output.
func (o *outputs) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	return o.watched.Put(ctx, digest, size, r)
}

// PutBatch stores small outputs.
func (o *outputs) PutBatch(ctx context.Context, batch []storage.Small) error {
	return o.watched.PutBatch(ctx, batch)
}

// Delete removes an output.
func (o *outputs) Delete(ctx context.Context, digest task.Digest) error {
	return o.watched.Delete(ctx, digest)
}

// forgetEvery is how often outputs are looked for that are in a pack by now.
const forgetEvery = time.Second

// replica is a node's state.
type replica interface {
	State(fn func(*state.State))
}

// forget drops small outputs whose chunk is sealed: this node's replica says so,
// so a majority has the pack. It gives the room back, too.
func (o *outputs) forget(ctx context.Context, node replica) error {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := o.forgetSealed(ctx, node); err != nil && ctx.Err() == nil && !errors.Is(err, storage.ErrNoSpace) {
			return fmt.Errorf("outputs that were packed could not be dropped: %w", err)
		}
	}
}

func (o *outputs) forgetSealed(ctx context.Context, node replica) error {
	groups := o.small.Groups()
	node.State(func(s *state.State) {
		groups = slices.DeleteFunc(groups, func(g uint64) bool { return !s.OutputGroupGone(g) })
	})
	for _, g := range groups {
		if err := o.compacting(ctx, func() error { return o.small.DropGroup(ctx, g) }); err != nil {
			return err
		}
	}
	if len(groups) == 0 {
		return nil
	}
	for more := true; more; {
		err := o.compacting(ctx, func() (err error) {
			more, err = o.small.Compact(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *outputs) compacting(ctx context.Context, do func() error) error {
	return o.watched.write(ctx, "what is kept of small outputs", func(*diskwatch.Write) error { return do() })
}

// EachOf calls fn for the small outputs of a group.
func (o *outputs) EachOf(ctx context.Context, group uint64, fn func(task.Digest, []byte) error) error {
	return o.small.EachOf(ctx, group, fn)
}

// Close closes both parts.
func (o *outputs) Close() error { return errors.Join(o.small.Close(), o.large.Close()) }
