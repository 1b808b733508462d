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
// is damaged or missing. One that a majority lacks is storage.ErrNotFound;
// ErrUnsure means that too few could be asked.
func (s *Store) Repair(ctx context.Context, area Area, digest task.Digest) error {
	ctx, err := s.stamped(ctx)
	if err != nil {
		return err
	}
	return s.repair(ctx, area, digest, fmt.Errorf("blob %s: no coordinator has it whole: %w", digest, storage.ErrNotFound))
}

// mending is a blob of this node's own that is fetched from a peer when it turns
// out to be damaged while it is read. Its reader does not notice.
type mending struct {
	fetch func(why error) (storage.Blob, error) // from a peer, into this node's store

	mu     sync.RWMutex
	blob   storage.Blob
	mended bool // once is enough: what is damaged again at once will be so for ever
}

// Size implements storage.Blob.
func (m *mending) Size() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.blob.Size()
}

// ReadAt implements storage.Blob.
func (m *mending) ReadAt(p []byte, off int64) (int, error) {
	m.mu.RLock()
	n, err := m.blob.ReadAt(p, off)
	mended := m.mended
	m.mu.RUnlock()
	if !errors.Is(err, storage.ErrCorrupt) {
		return n, err
	}
	if !mended {
		if e := m.mend(err); e != nil {
			return n, e
		}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.blob.ReadAt(p, off)
}

func (m *mending) mend(why error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mended {
		return nil
	}
	whole, err := m.fetch(why)
	if err != nil {
		return err
	}
	_ = m.blob.Close() // it was only read
	m.blob, m.mended = whole, true
	return nil
}

// Close implements storage.Blob.
func (m *mending) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.blob.Close()
}
