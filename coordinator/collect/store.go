package collect

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Store is a store of one node's blobs that remembers which of them it was
// asked for lately, so that unused ones can be deleted while others come.
type Store struct {
	storage.Blobs
	clock *Clock

	shards [256]shard // by the first byte of a digest
}

// shard guards the blobs whose digests begin alike: putting one and deleting
// one do not overlap.
type shard struct {
	mu    sync.Mutex
	asked map[uint64]task.Millis // by the first bytes of the digest: when a blob was put, or to be kept
}

var _ storage.Blobs = (*Store)(nil)

// NewStore stands before a store. Everything that puts blobs into it must go
// through here.
func NewStore(inner storage.Blobs, clock *Clock) *Store { return &Store{Blobs: inner, clock: clock} }

// touch notes that a blob is wanted now. It waits for a deletion of it.
func (s *Store) touch(d task.Digest) {
	now, sh := s.clock.Now(), &s.shards[d[0]]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.asked == nil {
		sh.asked = map[uint64]task.Millis{}
	}
	// Two digests with one key: both are kept for as long as either.
	sh.asked[key(d)] = max(now, sh.asked[key(d)])
}

func key(d task.Digest) uint64 { return binary.BigEndian.Uint64(d[:8]) }

// Put implements storage.Blobs. A blob that takes long to arrive is young when
// it has arrived.
func (s *Store) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	s.touch(digest)
	err := s.Blobs.Put(ctx, digest, size, r)
	s.touch(digest)
	return err
}

// PutBatch implements storage.Blobs.
func (s *Store) PutBatch(ctx context.Context, blobs []storage.Small) error {
	for i := range blobs {
		s.touch(blobs[i].Digest)
	}
	return s.Blobs.PutBatch(ctx, blobs)
}

// Keep reports which of some blobs are not here; the others will be for Kept.
func (s *Store) Keep(ctx context.Context, digests []task.Digest) (missing []task.Digest, err error) {
	for _, d := range digests {
		s.touch(d)
		ok, err := s.Has(ctx, d)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// Deleted says what a round took away.
type Deleted struct {
	Blobs int64
	Bytes int64 // of the blobs, before compression
}

func (d *Deleted) add(more Deleted) {
	d.Blobs += more.Blobs
	d.Bytes += more.Bytes
}

func (d *Deleted) count(bytes int64) { d.add(Deleted{1, max(bytes, 0)}) }

// collect deletes the blobs that are not live and that nobody asked for since.
func (s *Store) collect(ctx context.Context, since task.Millis, live func(task.Digest) bool) (Deleted, error) {
	var gone Deleted
	if s.clock.began > since {
		return gone, nil // it cannot know what was asked for before it began
	}
	err := s.List(ctx, func(d task.Digest, size int64) error {
		if live(d) {
			return nil
		}
		ok, err := s.deleteUnasked(ctx, d, since)
		if err != nil {
			return fmt.Errorf("deleting blob %s: %w", d.Short(), err)
		}
		if ok {
			gone.count(size)
		}
		return nil
	})
	s.forget(since)
	return gone, err
}

// errFound ends a search.
var errFound = errors.New("found")

// hasUnasked reports whether there is a blob that collect would delete.
func (s *Store) hasUnasked(ctx context.Context, since task.Millis, live func(task.Digest) bool) (bool, error) {
	if s.clock.began > since {
		return false, nil
	}
	err := s.List(ctx, func(d task.Digest, _ int64) error {
		if live(d) || s.askedSince(d, since) {
			return nil
		}
		return errFound
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	if err == nil {
		s.forget(since)
	}
	return false, err
}

func (s *Store) askedSince(d task.Digest, since task.Millis) bool {
	sh := &s.shards[d[0]]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	at, ok := sh.asked[key(d)]
	return ok && at > since
}

func (s *Store) deleteUnasked(ctx context.Context, d task.Digest, since task.Millis) (bool, error) {
	sh := &s.shards[d[0]]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if at, ok := sh.asked[key(d)]; ok && at > since {
		return false, nil
	}
	return true, s.Delete(ctx, d)
}

// forget drops notes that say no more than their absence would.
func (s *Store) forget(since task.Millis) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		for k, at := range sh.asked {
			if at <= since {
				delete(sh.asked, k)
			}
		}
		if len(sh.asked) == 0 {
			sh.asked = nil
		}
		sh.mu.Unlock()
	}
}
