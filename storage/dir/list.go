package dir

import (
	"context"
	"errors"
	"fmt"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// List implements storage.Blobs. It reads the header of each file, and keeps
// the names of one shard, a 256th of all, in memory.
func (s *Store) List(ctx context.Context, fn func(task.Digest, int64) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.walk(ctx, task.Digest{}, func(d task.Digest) error {
		size, err := s.sizeOf(d)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			return nil // deleted meanwhile
		case errors.Is(err, storage.ErrCorrupt):
			size = storage.UnknownSize
		case err != nil:
			return err
		}
		return fn(d, size)
	})
}

// walk calls fn for the name of every blob from a digest on, in their order.
func (s *Store) walk(ctx context.Context, from task.Digest, fn func(task.Digest) error) error {
	for i := int(from[0]); i < shards; i++ {
		if !s.shards.has(i) {
			continue
		}
		shard := shardName(i)
		names, err := s.disk.list(shard)
		if err != nil {
			return fmt.Errorf("blob store %s: %w", s.config.Path, err)
		}
		for _, n := range names {
			d, ok := parseBlobName(shard, n)
			if !ok || less(d, from) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("blob store %s: %w", s.config.Path, err)
			}
			if err := fn(d); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) sizeOf(d task.Digest) (int64, error) {
	b, err := s.openStored(d)
	if err != nil {
		return 0, err
	}
	return b.header.size, b.file.Close()
}
