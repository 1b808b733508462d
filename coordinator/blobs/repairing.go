package blobs

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Repair puts a peer's whole copy of a blob in the place of this node's, which
// is damaged or missing. One that no peer has is storage.ErrNotFound.
func (s *Store) Repair(ctx context.Context, area Area, digest task.Digest) error {
	ctx, err := s.stamped(ctx)
	if err != nil {
		return err
	}
	return s.repair(ctx, area, digest, fmt.Errorf("blob %s: no coordinator has it whole: %w", digest, storage.ErrNotFound))
}

// repairing opens a blob of this node's store so that damage is mended as it is
// met, while ctx lasts.
func (s *Store) repairing(ctx context.Context, area Area, digest task.Digest, b storage.Blob) storage.Blob {
	return &repairing{size: b.Size(), blob: b, restore: func(why error) (storage.Blob, error) {
		s.log.Warn("a stored blob is damaged; it is fetched from a peer", "blob", digest.Short(), "area", area, "why", why)
		if err := s.repair(ctx, area, digest, why); err != nil {
			return nil, err
		}
		return s.local[area].Open(ctx, digest)
	}}
}

// repairing is a blob of this node's that, when a part of it turns out to be
// damaged, is fetched from a peer and read on.
type repairing struct {
	size    int64
	restore func(why error) (storage.Blob, error) // fetches and opens it

	mu     sync.Mutex
	blob   storage.Blob
	retire []storage.Blob // replaced; others may still be reading them
	tried  bool           // once is enough: what was verified and is damaged again will be so again
}

// Size implements storage.Blob.
func (b *repairing) Size() int64 { return b.size }

// ReadAt implements io.ReaderAt.
func (b *repairing) ReadAt(p []byte, off int64) (int, error) {
	b.mu.Lock()
	now := b.blob
	b.mu.Unlock()
	n, err := now.ReadAt(p, off)
	if !errors.Is(err, storage.ErrCorrupt) {
		return n, err
	}
	whole, repairErr := b.repaired(now, err)
	if repairErr != nil {
		return n, repairErr
	}
	k, err := whole.ReadAt(p[n:], off+int64(n))
	return n + k, err
}

// repaired is the blob after its repair, which the first caller makes.
func (b *repairing) repaired(damaged storage.Blob, why error) (storage.Blob, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.blob != damaged {
		return b.blob, nil
	}
	if b.tried {
		return nil, why
	}
	b.tried = true
	whole, err := b.restore(why)
	if err != nil {
		return nil, err
	}
	b.retire, b.blob = append(b.retire, b.blob), whole
	return whole, nil
}

// Close implements storage.Blob.
func (b *repairing) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.blob.Close()
	for _, old := range b.retire {
		err = errors.Join(err, old.Close())
	}
	return err
}
