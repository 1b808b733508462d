package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Shared is a store in memory that puts blobs aside as a bucket does: for tests
// of whole clusters that use one. It knows no unfinished uploads.
type Shared struct {
	*Store
	aside map[storage.Aside][]byte // guarded by the Store's lock
}

var _ storage.Shared = (*Shared)(nil)

// NewShared makes an empty store.
func NewShared(c Config) (*Shared, error) {
	s, err := New(c)
	if err != nil {
		return nil, err
	}
	return &Shared{s, map[storage.Aside][]byte{}}, nil
}

// bringBack returns a blob that was put aside to its place.
func (s *Shared) bringBack(digest task.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, have := s.blobs[digest]; have {
		return
	}
	for a, b := range s.aside {
		if a.Digest == digest {
			s.blobs[digest] = b
			s.bytes += int64(len(b))
			return
		}
	}
}

// Open implements storage.Blobs.
func (s *Shared) Open(ctx context.Context, digest task.Digest) (storage.Blob, error) {
	s.bringBack(digest)
	return s.Store.Open(ctx, digest)
}

// Has implements storage.Blobs.
func (s *Shared) Has(ctx context.Context, digest task.Digest) (bool, error) {
	s.bringBack(digest)
	return s.Store.Has(ctx, digest)
}

// PutAside implements storage.Shared.
func (s *Shared) PutAside(ctx context.Context, digest task.Digest, stamp int64, may func() error) error {
	s.mu.Lock()
	b, have := s.blobs[digest]
	if have {
		s.aside[storage.Aside{Digest: digest, Stamp: stamp, Size: int64(len(b))}] = b
	}
	s.mu.Unlock()
	if !have {
		return ctx.Err()
	}
	if err := may(); err != nil {
		return err
	}
	return s.Delete(ctx, digest)
}

// ListAside implements storage.Shared.
func (s *Shared) ListAside(ctx context.Context, fn func(storage.Aside) error) error {
	s.mu.Lock()
	all := make([]storage.Aside, 0, len(s.aside))
	for a := range s.aside {
		all = append(all, a)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b storage.Aside) int {
		return cmp.Or(bytes.Compare(a.Digest[:], b.Digest[:]), cmp.Compare(a.Stamp, b.Stamp))
	})
	for _, a := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(a); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// DropAside implements storage.Shared.
func (s *Shared) DropAside(ctx context.Context, a storage.Aside) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.aside, a)
	return ctx.Err()
}

// ListUnfinished implements storage.Shared.
func (s *Shared) ListUnfinished(ctx context.Context, _ func(storage.Unfinished) error) error {
	return ctx.Err()
}

// DropUnfinished implements storage.Shared.
func (s *Shared) DropUnfinished(ctx context.Context, _ storage.Unfinished) error { return ctx.Err() }
