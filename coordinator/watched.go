package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/internal/diskwatch"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// watchedBlobs ends the node when a write to a store fails, or does not come
// back: it must not go on as if it could keep what it takes. A disk without room
// is no such failure, and neither is a wrong sender.
type watchedBlobs struct {
	storage.Blobs
	disk *diskwatch.Watch
	path string
}

// Put stores a blob. Time in which its sender is waited for is not the disk's.
func (w *watchedBlobs) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	return w.write(ctx, "a blob", func(op *diskwatch.Write) error {
		return w.Blobs.Put(ctx, digest, size, &sender{r, op})
	})
}

// PutBatch stores small blobs.
func (w *watchedBlobs) PutBatch(ctx context.Context, small []storage.Small) error {
	return w.write(ctx, "small blobs", func(*diskwatch.Write) error { return w.Blobs.PutBatch(ctx, small) })
}

// Delete removes a blob.
func (w *watchedBlobs) Delete(ctx context.Context, digest task.Digest) error {
	return w.write(ctx, "that a blob is gone", func(*diskwatch.Write) error { return w.Blobs.Delete(ctx, digest) })
}

func (w *watchedBlobs) write(ctx context.Context, what string, do func(*diskwatch.Write) error) error {
	if err := w.disk.Err(); err != nil {
		return err
	}
	op := w.disk.Begin(what, w.path)
	err := do(op)
	op.End()
	if err == nil || ctx.Err() != nil || survivable(err) {
		return err
	}
	return w.disk.Fail(fmt.Errorf("writing %s in %s: %w", what, w.path, err))
}

// survivable reports whether a store is as good as before in spite of an error.
func survivable(err error) bool {
	for _, e := range []error{
		storage.ErrNoSpace, storage.ErrMismatch, storage.ErrTooLarge, storage.ErrSource, storage.ErrNotFound, storage.ErrCorrupt, storage.ErrUnavailable,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// sender is where a blob comes from.
type sender struct {
	r  io.Reader
	op *diskwatch.Write
}

// Read reads what has come.
func (s *sender) Read(b []byte) (n int, err error) {
	s.op.Elsewhere(func() { n, err = s.r.Read(b) })
	return n, err
}
