package storage

import (
	"fmt"

	"github.com/sheafgrid/sheaf/task"
)

const (
	// ChunkSize is how many bytes of a blob are compressed and checked
	// together. Reading less than a chunk costs as much as reading the chunk.
	ChunkSize = 1 << 20

	// MaxBlobSize bounds every blob of every store, in bytes.
	MaxBlobSize = task.MaxInputSize

	// MaxSmallSize bounds a blob in PutBatch, in bytes.
	MaxSmallSize = ChunkSize

	// UnknownSize stands for the size of a blob whose stored form is damaged.
	UnknownSize = int64(-1)
)

// CheckSize refuses a size that is beyond limit bytes (ErrTooLarge) or
// negative (ErrMismatch).
func CheckSize(digest task.Digest, size, limit int64) error {
	if size < 0 {
		return fmt.Errorf("blob %s: a size of %d bytes: %w", digest, size, ErrMismatch)
	}
	if size > limit {
		return fmt.Errorf("blob %s: %d bytes, at most %d are accepted: %w", digest, size, limit, ErrTooLarge)
	}
	return nil
}

// CheckBatch refuses a batch in which a blob is too large or does not have the
// digest it is given under. It notes in the batch which do: a blob on its way
// through several stores is hashed once.
func CheckBatch(blobs []Small, limit int64) error {
	for i := range blobs {
		b := &blobs[i]
		if err := CheckSize(b.Digest, int64(len(b.Bytes)), min(limit, MaxSmallSize)); err != nil {
			return err
		}
		if b.proven {
			continue
		}
		if got := task.Sum(b.Bytes); got != b.Digest {
			return fmt.Errorf("blob %s: the %d bytes given have digest %s: %w", b.Digest, len(b.Bytes), got, ErrMismatch)
		}
		b.proven = true
	}
	return nil
}
