package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/sheafgrid/sheaf/storage"
)

// blockSize is what file systems round files up to.
const blockSize = 4096

// onDisk is the space that a file of n bytes takes.
func onDisk(n int64) int64 { return (n + blockSize - 1) / blockSize * blockSize }

// usage counts what a store holds and what is being written. All sizes that it
// is given are those of files, in bytes.
type usage struct {
	quota int64 // 0 means none

	mu       sync.Mutex
	blobs    int64
	bytes    int64 // on disk
	reserved int64 // for files being written
}

// reserve keeps room for a file, or refuses. Whoever reserved must release the
// same size.
func (u *usage) reserve(size int64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := onDisk(size)
	if u.quota > 0 && n > u.quota-u.bytes-u.reserved {
		return fmt.Errorf("%w: it needs %d bytes; of the quota of %d, %d are used and %d reserved",
			storage.ErrNoSpace, n, u.quota, u.bytes, u.reserved)
	}
	u.reserved += n
	return nil
}

func (u *usage) release(size int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reserved -= onDisk(size)
}

func (u *usage) add(size int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.blobs++
	u.bytes += onDisk(size)
}

func (u *usage) remove(size int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.blobs--
	u.bytes -= onDisk(size)
}

// Usage implements storage.Blobs. It counts files as Config.Quota does, and
// also damaged ones.
func (s *Store) Usage(ctx context.Context) (storage.Usage, error) {
	if err := s.enter(ctx); err != nil {
		return storage.Usage{}, err
	}
	defer s.calls.Done()
	s.usage.mu.Lock()
	defer s.usage.mu.Unlock()
	return storage.Usage{Blobs: s.usage.blobs, Bytes: s.usage.bytes, Quota: s.usage.quota}, nil
}

// count looks at every blob once.
func (s *Store) count(ctx context.Context) error {
	for i := range shards {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !s.shards.has(i) {
			continue
		}
		shard := shardName(i)
		names, err := s.disk.list(shard)
		if err != nil {
			return err
		}
		for _, n := range names {
			if _, ok := parseBlobName(shard, n); !ok {
				continue
			}
			size, err := s.disk.size(shard + "/" + n)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			s.usage.add(size)
		}
	}
	return nil
}
