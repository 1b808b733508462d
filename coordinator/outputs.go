package coordinator

import (
	"bytes"
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
	"github.com/sheafgrid/sheaf/internal/diskwatch"
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
// segments; large ones each by itself, on this disk or in a bucket.
type outputs struct {
	*tiered.Store
	watched watchedBlobs // the same, of which only small ones are put through here
	small   *segments.Store
	large   *dir.Store
	kept    *collect.Store // stands before large; nil: large ones are in a bucket
	bucket  storage.Blobs  // then
	room    *reserve.Disk
}

// outputParts are what outputs are kept with.
type outputParts struct {
	clock  *collect.Clock
	room   *reserve.Disk
	disk   *diskwatch.Watch
	bucket storage.Blobs // for large ones; nil: the disk
}

// openPublic opens the store of programs, inputs, indexes and sheaves.
func openPublic(ctx context.Context, cfg *Config) (*dir.Store, error) {
	return dir.Open(ctx, dir.Config{Path: filepath.Join(cfg.Dir, string(blobs.Public)), Quota: cfg.Quota})
}

func openOutputs(ctx context.Context, cfg *Config, p outputParts) (*outputs, error) {
	small, err := segments.Open(ctx, segments.Config{Path: filepath.Join(cfg.Dir, smallOutputs), Quota: cfg.Quota, Quiet: settleAfter})
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
	o := &outputs{small: small, large: large, bucket: p.bucket, room: p.room}
	if p.bucket == nil {
		path := filepath.Join(cfg.Dir, string(blobs.Outputs))
		o.kept = collect.NewStore(reserve.NewStore(&watchedBlobs{large, p.disk, path}, p.room), p.clock)
	}
	o.Store = tiered.New(small, o.big())
	o.watched = watchedBlobs{o.Store, p.disk, filepath.Join(cfg.Dir, smallOutputs)}
	return o, nil
}

// big is where large outputs are. A bucket is not on this disk: what it does
// says nothing about the disk, and takes none of its room.
func (o *outputs) big() storage.Blobs {
	if o.bucket != nil {
		return o.bucket
	}
	return o.kept
}

// Keep reports which of some blobs are not here; the others are kept for a
// while, or, if they are small, until what refers to them is sealed.
func (o *outputs) Keep(ctx context.Context, digests []task.Digest) (missing []task.Digest, err error) {
	var large []task.Digest
	for _, d := range digests {
		ok, err := o.keepSmall(ctx, d)
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

// keepSmall reports whether a small output is here. One that stands among those of
// a group goes with them, though the task that asks for it is of another: it is
// put here once more, alone.
func (o *outputs) keepSmall(ctx context.Context, digest task.Digest) (bool, error) {
	if ok, err := o.small.HasIn(ctx, 0, digest); ok || err != nil {
		return ok, err
	}
	body, err := o.small.Get(ctx, digest, segments.MaxBlobSize)
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrCorrupt):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, o.Put(ctx, digest, int64(len(body)), bytes.NewReader(body))
}

// Put stores one output.
func (o *outputs) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	if size < 0 || size > segments.MaxBlobSize {
		return o.big().Put(ctx, digest, size, r)
	}
	release, err := o.room.Take(1, size)
	if err != nil {
		return err
	}
	defer release()
	return o.watched.Put(ctx, digest, size, r)
}

// PutBatch stores outputs of which most are small.
func (o *outputs) PutBatch(ctx context.Context, batch []storage.Small) error {
	small, bytes := batch, int64(0)
	var large []storage.Small
	if slices.ContainsFunc(batch, isLarge) {
		small = nil
		for _, b := range batch {
			if isLarge(b) {
				large = append(large, b)
			} else {
				small = append(small, b)
			}
		}
	}
	for i := range small {
		bytes += int64(len(small[i].Bytes))
	}
	release, err := o.room.Take(1, bytes) // small ones share a file
	if err != nil {
		return err
	}
	defer release()
	if err := o.watched.PutBatch(ctx, small); err != nil || len(large) == 0 {
		return err
	}
	return o.big().PutBatch(ctx, large)
}

func isLarge(b storage.Small) bool { return len(b.Bytes) > segments.MaxBlobSize }

// Delete removes an output.
func (o *outputs) Delete(ctx context.Context, digest task.Digest) error {
	err := o.compacting(ctx, func() error {
		if err := o.small.Drop(ctx, []task.Digest{digest}); err != nil {
			return err
		}
		_, err := o.small.Compact(ctx)
		return err
	})
	return errors.Join(err, o.big().Delete(ctx, digest))
}

const (
	// forgetEvery is how often outputs are looked for that are in a pack by now.
	forgetEvery = time.Second

	// settleAfter is when what stays behind in a file of which the rest was packed
	// is copied out of it: a file goes within seconds of its first chunk, unless a
	// chunk waits for a straggler.
	settleAfter = 5 * time.Second

	// restAfterCopying gives exchanges that came meanwhile the disk and the
	// processor.
	restAfterCopying = 5 * time.Millisecond
)

// replica is a node's state.
type replica interface {
	State(fn func(*state.State))
}

// forget drops small outputs of groups that are sealed: this node's replica says so,
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
	for {
		more := false
		err := o.compacting(ctx, func() (err error) {
			more, err = o.small.Compact(ctx)
			return err
		})
		if err != nil || !more {
			return err
		}
		time.Sleep(restAfterCopying)
	}
}

func (o *outputs) compacting(ctx context.Context, do func() error) error {
	return o.watched.write(ctx, "what is kept of small outputs", func(*diskwatch.Write) error { return do() })
}

// EachOf calls fn for the small outputs of some groups.
func (o *outputs) EachOf(ctx context.Context, groups []uint64, fn func(task.Digest, []byte) error) error {
	return o.small.EachOf(ctx, groups, fn)
}

// Close closes both parts.
func (o *outputs) Close() error { return errors.Join(o.small.Close(), o.large.Close()) }
