// Package memory keeps blobs in a map: for tests, and for what need not
// outlive the process.
//
// It passes the same tests as the other stores. It starts no goroutine and
// holds no channel, so a store may be made inside or outside of a
// testing/synctest bubble and used on the other side.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Config bounds a store. The zero value stands for no bounds but those of
// package storage.
type Config struct {
	Quota   int64 // bytes of all blobs together; 0 means no limit
	MaxBlob int64 // bytes of one blob; 0 means storage.MaxBlobSize
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	if c.Quota < 0 || c.MaxBlob < 0 || c.MaxBlob > storage.MaxBlobSize {
		return fmt.Errorf("blobs in memory: quota %d and largest blob %d must be 0 to %d bytes", c.Quota, c.MaxBlob, storage.MaxBlobSize)
	}
	return nil
}

// Store is a store of blobs in memory. Make one with New.
type Store struct {
	quota, maxBlob int64

	mu    sync.RWMutex
	blobs map[task.Digest][]byte // the bytes are never written to
	bytes int64
}

var _ storage.Blobs = (*Store)(nil)

// New makes an empty store.
func New(c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.MaxBlob == 0 {
		c.MaxBlob = storage.MaxBlobSize
	}
	return &Store{quota: c.Quota, maxBlob: c.MaxBlob, blobs: map[task.Digest][]byte{}}, nil
}

// Put implements storage.Blobs.
func (s *Store) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	if err := storage.CheckSize(digest, size, s.maxBlob); err != nil {
		return err
	}
	if err := s.room(digest, size); err != nil {
		return err
	}
	body := storage.NewBody(digest, size, r)
	buf := make([]byte, min(max(size, 1), storage.ChunkSize))
	var all []byte
	for {
		part, err := body.Next(ctx, buf)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		all = append(all, part...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(digest, slices.Clip(all))
}

// PutBatch implements storage.Blobs.
func (s *Store) PutBatch(ctx context.Context, blobs []storage.Small) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("batch of %d blobs: %w", len(blobs), err)
	}
	if err := storage.CheckBatch(blobs, s.maxBlob); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range blobs {
		if err := s.add(b.Digest, slices.Clone(b.Bytes)); err != nil {
			return err
		}
	}
	return nil
}

// room says before anything is read whether a blob can fit. A blob that is
// here already gets the answer that it would get if it were not.
func (s *Store) room(digest task.Digest, size int64) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.fits(digest, size)
}

func (s *Store) fits(digest task.Digest, size int64) error {
	if s.quota > 0 && size > s.quota-s.bytes {
		return fmt.Errorf("blob %s: %d bytes, %d of the %d allowed are used: %w", digest, size, s.bytes, s.quota, storage.ErrNoSpace)
	}
	return nil
}

// add stores b. The caller holds the lock.
func (s *Store) add(digest task.Digest, b []byte) error {
	if err := s.fits(digest, int64(len(b))); err != nil {
		return err
	}
	if _, have := s.blobs[digest]; !have {
		s.bytes += int64(len(b))
		s.blobs[digest] = b
	}
	return nil
}

// Open implements storage.Blobs.
func (s *Store) Open(ctx context.Context, digest task.Digest) (storage.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, have := s.blobs[digest]
	if !have {
		return nil, fmt.Errorf("blob %s: %w", digest, storage.ErrNotFound)
	}
	return storage.BytesBlob(b), nil
}

// Has implements storage.Blobs.
func (s *Store) Has(ctx context.Context, digest task.Digest) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, have := s.blobs[digest]
	return have, ctx.Err()
}

// Delete implements storage.Blobs.
func (s *Store) Delete(ctx context.Context, digest task.Digest) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("blob %s: %w", digest, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= int64(len(s.blobs[digest]))
	delete(s.blobs, digest)
	return nil
}

// List implements storage.Blobs.
func (s *Store) List(ctx context.Context, fn func(task.Digest, int64) error) error {
	s.mu.RLock()
	digests := slices.SortedFunc(maps.Keys(s.blobs), func(a, b task.Digest) int { return bytes.Compare(a[:], b[:]) })
	s.mu.RUnlock()
	for _, d := range digests {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.mu.RLock()
		b, have := s.blobs[d]
		s.mu.RUnlock()
		if !have {
			continue
		}
		if err := fn(d, int64(len(b))); err != nil {
			return err
		}
	}
	return nil
}

// Usage implements storage.Blobs. Its Bytes are those of the blobs alone.
func (s *Store) Usage(ctx context.Context) (storage.Usage, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return storage.Usage{Blobs: int64(len(s.blobs)), Bytes: s.bytes, Quota: s.quota}, ctx.Err()
}
