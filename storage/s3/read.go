package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Open implements storage.Blobs. Reading a part of the blob costs a request for
// each MiB; the one that was read last is kept.
func (s *Store) Open(ctx context.Context, digest task.Digest) (storage.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	size, err := s.stat(ctx, digest)
	if err != nil {
		return nil, err
	}
	if size > storage.MaxBlobSize {
		return nil, fmt.Errorf("blob %s: %w: its object has %d bytes", digest, storage.ErrCorrupt, size)
	}
	chunks := []task.Digest{digest}
	if size > storage.ChunkSize {
		if chunks, err = s.list(ctx, digest, size); err != nil {
			return nil, err
		}
	}
	// Reading has no context of its own, and ends with Close.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &blob{
		digest: digest, size: size, chunks: chunks, cancel: cancel, loaded: -1,
		fetch: func(from, to int64) ([]byte, error) { return s.fetch(ctx, digest, from, to) },
	}, nil
}

// list reads the digests of a blob's chunks.
func (s *Store) list(ctx context.Context, digest task.Digest, size int64) ([]task.Digest, error) {
	n := (size + storage.ChunkSize - 1) / storage.ChunkSize
	each := int64(len(task.Digest{}))
	want := (n + 1) * each
	r, _, _, err := s.core.GetObject(ctx, s.bucket, s.listName(digest), minio.GetObjectOptions{})
	if err = s.about(aboutBlob(digest), err); err != nil {
		if errors.Is(err, storage.ErrNotFound) {
			return s.listless(ctx, digest, size)
		}
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, want+1))
	if err != nil {
		return nil, s.about(aboutBlob(digest), err)
	}
	if int64(len(b)) != want || task.Sum(b[:n*each]) != task.Digest(b[n*each:]) {
		return nil, fmt.Errorf("blob %s: %w: the list of its chunks is not one of %d", digest, storage.ErrCorrupt, n)
	}
	chunks := make([]task.Digest, n)
	for i := range chunks {
		chunks[i] = task.Digest(b[int64(i)*each : (int64(i)+1)*each])
	}
	return chunks, nil
}

// listless makes the list of a blob that has none, from the blob itself: a list
// goes with what was put aside, and the blob may have been put again meanwhile.
func (s *Store) listless(ctx context.Context, digest task.Digest, size int64) (chunks []task.Digest, err error) {
	r, _, _, err := s.core.GetObject(ctx, s.bucket, s.blobName(digest), minio.GetObjectOptions{})
	if err != nil {
		return nil, s.about(aboutBlob(digest), err)
	}
	defer r.Close()
	v := newVerified(ctx, storage.NewBody(digest, size, r), size, func(of []task.Digest) error {
		chunks = of
		return s.putList(ctx, digest, of)
	})
	switch _, err = io.Copy(io.Discard, v); {
	case errors.Is(err, storage.ErrMismatch):
		return nil, fmt.Errorf("blob %s: %w: it has another digest", digest, storage.ErrCorrupt)
	case errors.Is(err, storage.ErrSource): // what failed to be read is the server's
		return nil, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	return chunks, err
}

// fetch reads the bytes from ≤ i < to of a blob, also of one that is put aside
// meanwhile.
func (s *Store) fetch(ctx context.Context, digest task.Digest, from, to int64) ([]byte, error) {
	b, err := s.fetchHere(ctx, digest, from, to)
	if errors.Is(err, storage.ErrNotFound) {
		if err = s.bringBack(ctx, digest, err); err == nil {
			return s.fetchHere(ctx, digest, from, to)
		}
	}
	return b, err
}

func (s *Store) fetchHere(ctx context.Context, digest task.Digest, from, to int64) ([]byte, error) {
	var o minio.GetObjectOptions
	if err := o.SetRange(from, to-1); err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	r, _, _, err := s.core.GetObject(ctx, s.bucket, s.blobName(digest), o)
	if err != nil {
		return nil, s.about(aboutBlob(digest), err)
	}
	defer r.Close()
	b := make([]byte, to-from)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, s.about(aboutBlob(digest), err)
	}
	return b, nil
}

// blob is a blob that is being read.
type blob struct {
	digest task.Digest
	size   int64
	chunks []task.Digest
	fetch  func(from, to int64) ([]byte, error)
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	loaded int64 // the chunk that is kept; -1: none
	chunk  []byte
}

// Size implements storage.Blob.
func (b *blob) Size() int64 { return b.size }

// Close implements storage.Blob.
func (b *blob) Close() error {
	b.cancel() // of whoever is still reading
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.chunk = true, nil
	return nil
}

// ReadAt implements io.ReaderAt.
func (b *blob) ReadAt(p []byte, off int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, fmt.Errorf("blob %s: %w", b.digest, fs.ErrClosed)
	case off < 0:
		return 0, fmt.Errorf("blob %s: read at offset %d: %w", b.digest, off, fs.ErrInvalid)
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= b.size {
			return n, io.EOF
		}
		if err := b.load(at / storage.ChunkSize); err != nil {
			return n, err
		}
		n += copy(p[n:], b.chunk[at%storage.ChunkSize:])
	}
	return n, nil
}

// load fetches and checks a chunk. The caller holds the lock.
func (b *blob) load(i int64) error {
	if b.loaded == i {
		return nil
	}
	from := i * storage.ChunkSize
	chunk, err := b.fetch(from, min(from+storage.ChunkSize, b.size))
	if err != nil {
		return err
	}
	if task.Sum(chunk) != b.chunks[i] {
		return fmt.Errorf("blob %s: %w: chunk %d of %d has another digest", b.digest, storage.ErrCorrupt, i+1, len(b.chunks))
	}
	b.loaded, b.chunk = i, chunk
	return nil
}
