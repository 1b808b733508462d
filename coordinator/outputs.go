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
	"github.com/sheafgrid/sheaf/coordinator/collect"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/reserve"
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
	small  *segments.Store
	large  *dir.Store
	kept   *collect.Store // stands before large; nil: large ones are in a bucket
	bucket storage.Blobs  // then
	disk   *reserve.Disk
	broken chan error // the first error after which the segments take nothing more
}

func openOutputs(ctx context.Context, cfg *Config, clock *collect.Clock, disk *reserve.Disk, bucket storage.Blobs) (*outputs, error) {
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
	if bucket != nil {
		return &outputs{Store: tiered.New(small, bucket), small: small, large: large, bucket: bucket, disk: disk, broken: make(chan error, 1)}, nil
	}
	kept := collect.NewStore(large, clock)
	return &outputs{Store: tiered.New(small, kept), small: small, large: large, kept: kept, disk: disk, broken: make(chan error, 1)}, nil
}

// Keep reports which of some blobs are not here; the others are kept for a
// while, or, if they are small, until their chunk is sealed.
func (o *outputs) Keep(ctx context.Context, digests []task.Digest) (missing []task.Digest, err error) {
	var large []task.Digest
	for _, d := range digests {
		ok, err := o.small.Has(ctx, d)
		if err != nil {
			return nil, err
		}
		if !ok {
			large = append(large, d)
		}
	}
	if o.kept != nil {
		return o.kept.Keep(ctx, large)
	}
	for _, d := range large {
		ok, err := o.bucket.Has(ctx, d)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// PutBatch stores small outputs. A disk that fails ends the node: it must not
// go on as if it could keep what it takes.
func (o *outputs) PutBatch(ctx context.Context, batch []storage.Small) error {
	bytes := int64(0)
	for i := range batch {
		bytes += int64(len(batch[i].Bytes))
	}
	release, err := o.disk.Take(1, bytes) // small ones share a file
	if err != nil {
		return err
	}
	defer release()
	err = o.Store.PutBatch(ctx, batch)
	if err != nil && ctx.Err() == nil && !errors.Is(err, storage.ErrNoSpace) && !errors.Is(err, storage.ErrUnavailable) && !errors.Is(err, storage.ErrMismatch) && !errors.Is(err, storage.ErrTooLarge) {
		select {
		case o.broken <- err:
		default:
		}
	}
	return err
}

// Put stores one output.
func (o *outputs) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	release, err := o.disk.Take(1, max(size, 0))
	if err != nil {
		return err
	}
	defer release()
	return o.Store.Put(ctx, digest, size, r)
}

// watch returns when the outputs can no longer be kept, or ctx ends.
func (o *outputs) watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-o.broken:
		return fmt.Errorf("outputs cannot be kept: %w", err)
	}
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
		if err := o.small.DropGroup(ctx, g); err != nil {
			return err
		}
	}
	if len(groups) == 0 {
		return nil
	}
	for more := true; more; {
		var err error
		if more, err = o.small.Compact(ctx); err != nil {
			return err
		}
	}
	return nil
}

// EachOf calls fn for the small outputs of a group.
func (o *outputs) EachOf(ctx context.Context, group uint64, fn func(task.Digest, []byte) error) error {
	return o.small.EachOf(ctx, group, fn)
}

// Close closes both parts.
func (o *outputs) Close() error { return errors.Join(o.small.Close(), o.large.Close()) }
