// Package reserve keeps room on a disk for what is not blobs: a full disk must
// refuse uploads and nothing else.
//
// A Disk is asked before blobs are written; below its floor of free space it
// refuses with storage.ErrNoSpace, before any of the blob is read. What is on
// its way counts as written. Reading and deleting are never refused. The
// package starts no goroutine, and asks the operating system at every write.
package reserve

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// eachBlob is what a blob takes of a disk beside its bytes, at most, about.
const eachBlob = 8 << 10

// Disk is a file system of which blobs leave a part free.
type Disk struct {
	floor int64
	free  func() (int64, error)
	taken atomic.Int64 // by blobs that are on their way
}

// NewDisk makes a disk that keeps floor bytes free; 0 means that it does not
// look. free tells how many bytes are.
func NewDisk(floor int64, free func() (int64, error)) *Disk {
	return &Disk{floor: floor, free: free}
}

// Floor is how many bytes are kept free.
func (d *Disk) Floor() int64 { return d.floor }

// Free is how many bytes there are, the floor among them.
func (d *Disk) Free() (int64, error) { return d.free() }

// Take sets bytes aside for blobs that are about to be written, or refuses.
// release must be called when they are written, or not going to be.
func (d *Disk) Take(blobs int, bytes int64) (release func(), err error) {
	if d.floor <= 0 {
		return func() {}, nil
	}
	free, err := d.free()
	if err != nil {
		return nil, err
	}
	need := bytes + int64(blobs)*eachBlob
	taken := d.taken.Add(need)
	if room := free - d.floor; taken > room {
		d.taken.Add(-need)
		return nil, fmt.Errorf("%w: %d bytes are needed, %d are free on the disk, and %d are kept for other things",
			storage.ErrNoSpace, need, free, d.floor)
	}
	return func() { d.taken.Add(-need) }, nil
}

// Store is a store of blobs on a Disk.
type Store struct {
	storage.Blobs
	disk *Disk
}

var _ storage.Blobs = (*Store)(nil)

// NewStore puts a store under a disk's care.
func NewStore(inner storage.Blobs, disk *Disk) *Store { return &Store{inner, disk} }

// Put implements storage.Blobs.
func (s *Store) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	release, err := s.disk.Take(1, max(size, 0))
	if err != nil {
		return fmt.Errorf("blob %s: %w", digest, err)
	}
	defer release()
	return s.Blobs.Put(ctx, digest, size, r)
}

// PutBatch implements storage.Blobs.
func (s *Store) PutBatch(ctx context.Context, blobs []storage.Small) error {
	bytes := int64(0)
	for i := range blobs {
		bytes += int64(len(blobs[i].Bytes))
	}
	release, err := s.disk.Take(len(blobs), bytes)
	if err != nil {
		return fmt.Errorf("batch of %d blobs: %w", len(blobs), err)
	}
	defer release()
	return s.Blobs.PutBatch(ctx, blobs)
}
