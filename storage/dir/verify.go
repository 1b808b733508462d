package dir

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"syscall"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Pace is called before bytes more of the disk are read, and returns when that
// is welcome. Its error ends the reading.
type Pace = func(ctx context.Context, bytes int) error

// Verify reads a whole blob from the disk, whatever is in memory, and checks
// every byte of its file. Damage is ErrCorrupt.
func (s *Store) Verify(ctx context.Context, digest task.Digest) error {
	return s.verify(ctx, digest, func(context.Context, int) error { return nil })
}

// Scrub verifies all blobs whose digests are from or higher, in their order,
// at the pace given. It calls each with every blob and nil or ErrCorrupt: so a
// scrub that was interrupted can go on where it was. A file that the disk fails
// to read is as good as damaged. An error of each ends it and is returned as it
// is, as is any other failure.
func (s *Store) Scrub(ctx context.Context, from task.Digest, pace Pace, each func(task.Digest, error) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.walk(ctx, from, func(d task.Digest) error {
		err := s.verify(ctx, d, pace)
		if errors.Is(err, storage.ErrNotFound) {
			return nil // deleted meanwhile
		}
		if errors.Is(err, syscall.EIO) {
			err = fmt.Errorf("%w: %w", storage.ErrCorrupt, err)
		}
		if err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return err
		}
		return each(d, err)
	})
}

func (s *Store) verify(ctx context.Context, digest task.Digest, pace Pace) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	b, err := s.openStored(digest)
	if err != nil {
		return err
	}
	err = s.verifyStored(ctx, b, pace)
	if e := b.file.Close(); err == nil && e != nil {
		err = fmt.Errorf("blob %s: %w", digest, e)
	}
	return err
}

// verifyStored checks what reading a range cannot: that the chunks follow each
// other without gaps, and that together they have the blob's digest.
func (s *Store) verifyStored(ctx context.Context, b *stored, pace Pace) error {
	sum, next := sha256.New(), int64(headerSize)
	for i := range b.header.chunks() {
		e, err := b.entry(i)
		if err != nil {
			return err
		}
		if e.offset != next {
			return b.corrupt(i, fmt.Errorf("it is at byte %d instead of %d", e.offset, next))
		}
		next += int64(e.length)
		if err := pace(ctx, e.length+entrySize); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("blob %s: %w", b.header.digest, err)
		}
		err = s.cache.borrow(func(u *unpacker) error {
			chunk, err := b.chunk(u, i, e)
			sum.Write(chunk)
			return err
		})
		if err != nil {
			return err
		}
	}
	if table := b.header.tableOffset(b.length); next != table {
		return fmt.Errorf("blob %s: %w: %s: the chunks end at byte %d and the table begins at %d", b.header.digest, storage.ErrCorrupt, b.path, next, table)
	}
	if got := task.Digest(sum.Sum(nil)); got != b.header.digest {
		return fmt.Errorf("blob %s: %w: %s: the chunks have digest %s", b.header.digest, storage.ErrCorrupt, b.path, got)
	}
	return nil
}

func less(a, b task.Digest) bool { return bytes.Compare(a[:], b[:]) < 0 }
