package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// pushTimeout and pushRate bound how long a blob may take to one peer: this
// long, and a second more for so many bytes.
const (
	pushTimeout = 2 * time.Minute
	pushRate    = 1 << 20
)

// pushTime is how long size bytes may take to one peer.
func pushTime(size int64) time.Duration {
	return pushTimeout + time.Duration(size/pushRate)*time.Second
}

// A blob of up to so many bytes is sent to the peers from memory, as long as that
// takes not too much of it: peers can be slow. Others are read again from this
// node's disk, for each peer.
const (
	inMemory      = storage.ChunkSize
	inMemoryAtAll = 64 << 20 // for each peer it is sent to, counted anew
)

// Put stores a blob, read from r, on a majority.
func (s *Store) Put(ctx context.Context, area Area, digest task.Digest, size int64, r io.Reader) error {
	ctx, err := s.stamped(ctx)
	if err != nil {
		return err
	}
	if s.shared(area, size) {
		return s.local[area].Put(ctx, digest, size, r)
	}
	if size >= 0 && size <= inMemory && s.inMemory.Load() < inMemoryAtAll {
		return s.putSmall(ctx, area, digest, size, r)
	}
	if err := s.local[area].Put(ctx, digest, size, r); err != nil {
		return err
	}
	return s.spread(ctx, digest.Short(), true, pushTime(size), nil, func(ctx context.Context, p Peer) error {
		b, err := s.local[area].Open(ctx, digest)
		if err != nil {
			return err
		}
		defer b.Close()
		return p.Put(ctx, area, digest, b.Size(), io.NewSectionReader(b, 0, b.Size()))
	})
}

// putSmall stores a blob that is kept in memory meanwhile. What came is checked
// by this node's store, before it is sent.
func (s *Store) putSmall(ctx context.Context, area Area, digest task.Digest, size int64, r io.Reader) error {
	s.inMemory.Add(size)
	defer s.inMemory.Add(-size)
	body := borrow()
	*body.bytes = slices.Grow(*body.bytes, int(size))
	if err := s.local[area].Put(ctx, digest, size, io.TeeReader(r, body)); err != nil {
		return err
	}
	defer body.done(nil)
	return s.spread(ctx, digest.Short(), true, pushTime(size), body, func(ctx context.Context, p Peer) error {
		s.inMemory.Add(size)
		defer s.inMemory.Add(-size)
		return p.Put(ctx, area, digest, size, body.reader())
	})
}

// PutBatch stores small blobs on a majority, at one cost for all of them and for
// those of other callers at the same time. It does not keep the bytes.
func (s *Store) PutBatch(ctx context.Context, area Area, blobs []storage.Small) error {
	if len(blobs) == 0 {
		return nil
	}
	return s.groups[area].join(ctx, blobs, s.pushes.Go)
}

func (s *Store) putGroup(ctx context.Context, area Area, blobs []storage.Small) error {
	ctx, err := s.stamped(ctx)
	if err != nil {
		return err
	}
	if s.shared(area, 0) {
		return s.local[area].PutBatch(ctx, blobs)
	}
	parcels := pack(blobs)
	defer release(parcels)
	// This node's disk and the peers' work at the same time.
	spread := make(chan error, 1)
	for _, p := range parcels {
		p.use()
	}
	s.pushes.Go(func() {
		defer release(parcels)
		spread <- s.spreadBatch(ctx, area, true, parcels)
	})
	err = s.local[area].PutBatch(ctx, blobs)
	if errors.Is(err, storage.ErrNoSpace) {
		// A full disk here is one node's: the others may be a majority.
		if s.spreadBatch(ctx, area, false, parcels) == nil {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return <-spread
}

func release(parcels []*Parcel) {
	for _, p := range parcels {
		p.done(nil)
	}
}

// spreadBatch puts blobs on so many peers that they, and this node if it has
// them, are a majority.
func (s *Store) spreadBatch(ctx context.Context, area Area, have bool, parcels []*Parcel) error {
	for _, parcel := range parcels {
		if parcel.grouped {
			if err := asMembersChange(ctx, func() error { return s.spreadLean(ctx, area, have, parcel) }); err != nil {
				return err
			}
			continue
		}
		err := s.spread(ctx, fmt.Sprintf("%d blobs", parcel.count), have, pushTimeout, parcel.lent, func(ctx context.Context, p Peer) error {
			return p.PutBatch(ctx, area, parcel)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pack makes parcels of a batch. Its caller is their first user.
func pack(blobs []storage.Small) (parcels []*Parcel) {
	for part := range parts(blobs) {
		parcels = append(parcels, NewParcel(part))
	}
	return parcels
}

// parts cuts a batch into pieces that a peer takes in one message.
func parts(blobs []storage.Small) iter.Seq[[]storage.Small] {
	return func(yield func([]storage.Small) bool) {
		for len(blobs) > 0 {
			n, size := 0, 0
			for n < len(blobs) && (n == 0 || size+len(blobs[n].Bytes)+blobOverhead <= maxBatch/2) {
				size += len(blobs[n].Bytes) + blobOverhead
				n++
			}
			if !yield(blobs[:n]) {
				return
			}
			blobs = blobs[n:]
		}
	}
}
