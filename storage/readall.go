package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sheafgrid/sheaf/task"
)

// ReadAll returns a whole blob, of limit bytes at most, after comparing it with
// its digest. A larger one is ErrTooLarge before any of it is read. The caller
// owns the bytes.
func ReadAll(ctx context.Context, blobs Blobs, digest task.Digest, limit int64) ([]byte, error) {
	blob, err := blobs.Open(ctx, digest)
	if err != nil {
		return nil, err
	}
	b, err := readAll(ctx, blob, digest, limit)
	if e := blob.Close(); err == nil && e != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, e)
	}
	return b, err
}

func readAll(ctx context.Context, blob Blob, digest task.Digest, limit int64) ([]byte, error) {
	size := blob.Size()
	if err := CheckSize(digest, size, limit); err != nil {
		return nil, err
	}
	var b []byte
	for int64(len(b)) < size {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("blob %s: %w", digest, err)
		}
		// Room grows with what was really read: a damaged store may claim any size.
		n := int(min(ChunkSize, size-int64(len(b))))
		if cap(b)-len(b) < n {
			b = slices.Grow(b, int(min(int64(max(n, len(b))), size-int64(len(b)))))
		}
		k, err := blob.ReadAt(b[len(b):len(b)+n], int64(len(b)))
		if k < n {
			if err == nil || errors.Is(err, io.EOF) {
				err = fmt.Errorf("blob %s: ends after %d of %d bytes: %w", digest, len(b)+k, size, ErrCorrupt)
			}
			return nil, err
		}
		b = b[:len(b)+n]
	}
	if got := task.Sum(b); got != digest {
		return nil, fmt.Errorf("blob %s: the %d bytes stored have digest %s: %w", digest, size, got, ErrCorrupt)
	}
	return b, nil
}
