package dir

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

const (
	// batchFiles is how many files of a batch are open at once.
	batchFiles = 256

	// batchSyncs is how many syncs are under way at once: file systems with a
	// journal put them into one write of it.
	batchSyncs = 4
)

// PutBatch implements storage.Blobs. It writes all files, then syncs them,
// then gives them their names, then syncs each directory once.
func (s *Store) PutBatch(ctx context.Context, blobs []storage.Small) error {
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if err := storage.CheckBatch(blobs, s.config.MaxBlob); err != nil {
		return err
	}
	once := distinct(blobs)
	room := int64(0)
	for _, b := range once {
		room += onDisk(maxFileSize(int64(len(b.Bytes))))
	}
	if err := s.usage.reserve(room); err != nil {
		return fmt.Errorf("batch of %d blobs: %w", len(blobs), err)
	}
	defer s.usage.release(room)

	if err := s.putDistinct(ctx, once); err != nil {
		return fmt.Errorf("batch of %d blobs: %w", len(blobs), err)
	}
	return nil
}

func (s *Store) putDistinct(ctx context.Context, blobs []storage.Small) error {
	var touched [shards]bool
	for _, b := range blobs {
		touched[b.Digest[0]] = true
	}
	if err := s.makeShards(&touched); err != nil {
		return noSpace(err)
	}
	for part := range slices.Chunk(blobs, batchFiles) {
		if err := s.putPart(ctx, part); err != nil {
			return err
		}
	}
	if err := s.syncShards(&touched); err != nil {
		return err
	}
	for _, b := range blobs {
		s.shards.show(b.Digest)
	}
	return nil
}

// distinct leaves one of each blob.
func distinct(blobs []storage.Small) []storage.Small {
	seen := make(map[task.Digest]bool, len(blobs))
	once := make([]storage.Small, 0, len(blobs))
	for _, b := range blobs {
		if !seen[b.Digest] {
			seen[b.Digest] = true
			once = append(once, b)
		}
	}
	return once
}

// batchFile is a file of a batch that has no name yet.
type batchFile struct {
	file   file // nil once it is closed
	temp   string
	digest task.Digest
	length int64
	err    error // of its sync
}

func (s *Store) putPart(ctx context.Context, part []storage.Small) error {
	files, err := s.writePart(ctx, part)
	defer func() {
		for i := range files {
			if files[i].file != nil {
				_ = files[i].file.Close()
			}
			if files[i].temp != "" {
				s.discard(files[i].temp)
			}
		}
	}()
	if err != nil {
		return err
	}
	parallel(len(files), func(i int) {
		f := &files[i]
		f.err = s.synced(f.file.Sync())
		if e := f.file.Close(); f.err == nil {
			f.err = e
		}
		f.file = nil
	})
	for i := range files {
		if err := files[i].err; err != nil {
			return diskError(files[i].digest, err)
		}
	}
	for i := range files {
		f := &files[i]
		if err := s.publish(f.temp, f.digest, f.length); err != nil {
			return err
		}
		f.temp = ""
	}
	return nil
}

// writePart writes files and leaves them open. After an error it returns those
// that it made.
func (s *Store) writePart(ctx context.Context, part []storage.Small) ([]batchFile, error) {
	k, err := s.packers.take(ctx)
	if err != nil {
		return nil, err
	}
	defer s.packers.give(k)
	files := make([]batchFile, 0, len(part))
	for _, b := range part {
		if err := ctx.Err(); err != nil {
			return files, err
		}
		if err := k.image(b); err != nil {
			return files, fmt.Errorf("blob %s: %w", b.Digest, err)
		}
		temp := s.tempName()
		f, err := s.disk.create(temp)
		if err != nil {
			return files, diskError(b.Digest, err)
		}
		files = append(files, batchFile{file: f, temp: temp, digest: b.Digest, length: int64(len(k.out))})
		if _, err := f.Write(k.out); err != nil {
			return files, diskError(b.Digest, err)
		}
	}
	return files, nil
}

// image makes k.out the whole file of a small blob.
func (k *packer) image(b storage.Small) error {
	h := header{digest: b.Digest, size: int64(len(b.Bytes))}
	k.out = h.append(k.out[:0])
	if h.size == 0 {
		return nil
	}
	e, err := k.pack(b.Bytes, b.Digest, headerSize)
	if err != nil {
		return err
	}
	k.out = e.append(k.out, b.Digest, 0)
	return nil
}

func (s *Store) syncShards(touched *[shards]bool) error {
	var which []int
	for i, t := range touched {
		if t {
			which = append(which, i)
		}
	}
	errs := make([]error, len(which))
	parallel(len(which), func(i int) { errs[i] = s.synced(s.disk.syncDir(shardName(which[i]))) })
	for _, err := range errs {
		if err != nil {
			return noSpace(err)
		}
	}
	return nil
}

// parallel calls do for 0 to n-1, a few at a time, and waits for all.
func parallel(n int, do func(i int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(n, batchSyncs) {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	all.Wait()
}
