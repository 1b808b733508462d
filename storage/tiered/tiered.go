// Package tiered joins two stores into one: small blobs go to segments, where
// many share a file and an fsync, large ones to a store that keeps each by
// itself.
//
// A blob is looked for among the small ones first. The package starts no
// goroutine and keeps nothing of its own.
package tiered

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/segments"
	"github.com/sheafgrid/sheaf/task"
)

// Store is a store of small and large blobs. The caller closes both parts.
type Store struct {
	small *segments.Store
	large storage.Blobs
}

var _ storage.Blobs = (*Store)(nil)

// New joins two stores.
func New(small *segments.Store, large storage.Blobs) *Store { return &Store{small, large} }

// Put implements storage.Blobs.
func (s *Store) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	if size < 0 || size > segments.MaxBlobSize {
		return s.large.Put(ctx, digest, size, r)
	}
	body := storage.NewBody(digest, size, r)
	all, buf := []byte{}, make([]byte, max(size, 1))
	for {
		part, err := body.Next(ctx, buf)
		if err == io.EOF {
			return s.small.Put(ctx, []storage.Small{{Digest: digest, Bytes: all}})
		}
		if err != nil {
			return err
		}
		all = append(all, part...)
	}
}

// PutBatch implements storage.Blobs.
func (s *Store) PutBatch(ctx context.Context, blobs []storage.Small) error {
	if err := storage.CheckBatch(blobs, storage.MaxSmallSize); err != nil {
		return err
	}
	if !slices.ContainsFunc(blobs, isLarge) {
		return s.small.Put(ctx, blobs)
	}
	var small, large []storage.Small
	for _, b := range blobs {
		if isLarge(b) {
			large = append(large, b)
		} else {
			small = append(small, b)
		}
	}
	if err := s.small.Put(ctx, small); err != nil {
		return err
	}
	return s.large.PutBatch(ctx, large)
}

func isLarge(b storage.Small) bool { return len(b.Bytes) > segments.MaxBlobSize }

// Open implements storage.Blobs.
func (s *Store) Open(ctx context.Context, digest task.Digest) (storage.Blob, error) {
	b, err := s.small.Get(ctx, digest, segments.MaxBlobSize)
	switch {
	case err == nil:
		return storage.BytesBlob(b), nil
	case !errors.Is(err, storage.ErrNotFound):
		return nil, err
	}
	return s.large.Open(ctx, digest)
}

// Has implements storage.Blobs.
func (s *Store) Has(ctx context.Context, digest task.Digest) (bool, error) {
	if ok, err := s.small.Has(ctx, digest); ok || err != nil {
		return ok, err
	}
	return s.large.Has(ctx, digest)
}

// Delete implements storage.Blobs. It also takes a step towards getting the room
// of dropped small blobs back.
func (s *Store) Delete(ctx context.Context, digest task.Digest) error {
	err := s.small.Drop(ctx, []task.Digest{digest})
	if err == nil {
		_, err = s.small.Compact(ctx)
	}
	return errors.Join(err, s.large.Delete(ctx, digest))
}

// List implements storage.Blobs. It holds the digests of all small blobs in
// memory meanwhile.
func (s *Store) List(ctx context.Context, fn func(task.Digest, int64) error) error {
	var last task.Digest
	told := false
	return s.ListGrouped(ctx, func(d task.Digest, _ uint64, size int64) error {
		if told && d == last {
			return nil // it is in several groups, or in both parts
		}
		last, told = d, true
		return fn(d, size)
	})
}

// ListGrouped calls fn for every blob of every group, in the order of digests
// and then of groups. Large ones stand alone, in group 0. It holds the names of
// all small blobs in memory meanwhile.
func (s *Store) ListGrouped(ctx context.Context, fn func(digest task.Digest, group uint64, size int64) error) error {
	var small []listed
	err := s.small.EachGrouped(ctx, func(d task.Digest, group uint64, size int64) error {
		small = append(small, listed{d, group, size})
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(small, listed.compare)
	small = slices.CompactFunc(small, func(a, b listed) bool { return a.compare(b) == 0 })
	err = s.large.List(ctx, func(d task.Digest, size int64) error {
		own := listed{d, 0, size}
		for len(small) > 0 && small[0].compare(own) <= 0 {
			next := small[0]
			small = small[1:]
			if next.compare(own) == 0 {
				continue // it is in both; the other one is told
			}
			if err := fn(next.digest, next.group, next.size); err != nil {
				return err
			}
		}
		return fn(d, 0, size)
	})
	for ; err == nil && len(small) > 0; small = small[1:] {
		err = fn(small[0].digest, small[0].group, small[0].size)
	}
	return err
}

// HasIn reports whether a blob is there as one of a group. A large one is in
// none, and there for all.
func (s *Store) HasIn(ctx context.Context, group uint64, digest task.Digest) (bool, error) {
	if ok, err := s.small.HasIn(ctx, group, digest); ok || err != nil {
		return ok, err
	}
	return s.large.Has(ctx, digest)
}

type listed struct {
	digest task.Digest
	group  uint64
	size   int64
}

func (a listed) compare(b listed) int {
	return cmp.Or(bytes.Compare(a.digest[:], b.digest[:]), cmp.Compare(a.group, b.group))
}

// Usage implements storage.Blobs: the sum of both parts.
func (s *Store) Usage(ctx context.Context) (storage.Usage, error) {
	u, err := s.large.Usage(ctx)
	small := s.small.Usage()
	return storage.Usage{Blobs: u.Blobs + small.Blobs, Bytes: u.Bytes + small.Bytes, Quota: u.Quota + small.Quota}, err
}
