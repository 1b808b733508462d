package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

const (
	// maxSingle is the size up to which a blob is sent in one request.
	maxSingle = int64(1) << 30

	// minPart and maxParts bound the parts of a larger one.
	minPart  = int64(256) << 20
	maxParts = 9000

	// batchAtOnce is how many blobs of a batch are sent at once.
	batchAtOnce = 8
)

// Put implements storage.Blobs.
func (s *Store) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("blob %s: %w", digest, err)
	}
	if err := storage.CheckSize(digest, size, storage.MaxBlobSize); err != nil {
		return err
	}
	v := newVerified(ctx, storage.NewBody(digest, size, r), size, func(chunks []task.Digest) error {
		return s.putList(ctx, digest, chunks)
	})
	err := s.send(ctx, digest, size, v)
	if v.err != nil && !errors.Is(v.err, io.EOF) {
		return v.err // what the server says of a body that broke off does not matter
	}
	return s.about(aboutBlob(digest), err)
}

// send sends a verified body to a blob's place.
func (s *Store) send(ctx context.Context, digest task.Digest, size int64, v *verified) error {
	switch {
	case size <= storage.ChunkSize: // whole in memory, so that it can be sent again
		b, err := io.ReadAll(v)
		if err != nil {
			return err
		}
		return s.putBytes(ctx, s.blobName(digest), b)
	case size <= maxSingle:
		_, err := s.core.PutObject(ctx, s.bucket, s.blobName(digest), v, size, "", "", minio.PutObjectOptions{})
		return err
	}
	return s.sendParts(ctx, digest, size, v)
}

// sendParts sends what is too large for one request. The blob is there once all
// parts are, at once.
func (s *Store) sendParts(ctx context.Context, digest task.Digest, size int64, v *verified) (err error) {
	name := s.blobName(digest)
	upload, err := s.core.NewMultipartUpload(ctx, s.bucket, name, minio.PutObjectOptions{})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// Parts that stay behind are listed as an unfinished upload.
			_ = s.core.AbortMultipartUpload(context.WithoutCancel(ctx), s.bucket, name, upload)
		}
	}()
	part := partOf(size)
	var parts []minio.CompletePart
	for at := int64(0); at < size; at += part {
		n := min(part, size-at)
		p, err := s.core.PutObjectPart(ctx, s.bucket, name, upload, len(parts)+1, io.LimitReader(v, n), n, minio.PutObjectPartOptions{})
		if err != nil {
			return err
		}
		parts = append(parts, minio.CompletePart{PartNumber: p.PartNumber, ETag: p.ETag})
	}
	_, err = s.core.CompleteMultipartUpload(ctx, s.bucket, name, upload, parts, minio.PutObjectOptions{})
	return err
}

// partOf is how large the parts of so many bytes are.
func partOf(size int64) int64 { return max(minPart, (size+maxParts-1)/maxParts) }

// putBytes sends an object whole, signed together with its digest. Signed piece
// by piece, as minio-go does without TLS if it is not told this, an object of no
// bytes has a body, which Versity's gateway takes for the next request.
func (s *Store) putBytes(ctx context.Context, name string, b []byte) error {
	_, err := s.core.PutObject(ctx, s.bucket, name, bytes.NewReader(b), int64(len(b)), "", task.Sum(b).String(), minio.PutObjectOptions{DisableContentSha256: true})
	return err
}

// putList stores the digests of a blob's chunks.
func (s *Store) putList(ctx context.Context, digest task.Digest, chunks []task.Digest) error {
	if len(chunks) < 2 {
		return nil
	}
	b := make([]byte, 0, (len(chunks)+1)*len(task.Digest{}))
	for _, c := range chunks {
		b = append(b, c[:]...)
	}
	sum := task.Sum(b)
	return s.about(aboutBlob(digest), s.putBytes(ctx, s.listName(digest), append(b, sum[:]...)))
}

// PutBatch implements storage.Blobs.
func (s *Store) PutBatch(ctx context.Context, blobs []storage.Small) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("batch of %d blobs: %w", len(blobs), err)
	}
	if err := storage.CheckBatch(blobs, storage.MaxSmallSize); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(batchAtOnce)
	sent := make(map[task.Digest]bool, len(blobs))
	for i := range blobs {
		b := &blobs[i]
		if sent[b.Digest] {
			continue
		}
		sent[b.Digest] = true
		g.Go(func() error { return s.about(aboutBlob(b.Digest), s.putBytes(ctx, s.blobName(b.Digest), b.Bytes)) })
	}
	return g.Wait()
}

// verified is the body of a blob that holds its last chunk back until all of it
// is known to be right: a server gets either the blob, or a body that is cut
// short, which it must not keep.
type verified struct {
	body   *storage.Body
	next   func(buf []byte) ([]byte, error)
	right  func(chunks []task.Digest) error // called once, before the last chunk is given away
	chunks []task.Digest
	ready  []byte // may be given away
	held   []byte // may be the last
	free   []byte
	err    error // that there is nothing more: io.EOF, or why
}

func newVerified(ctx context.Context, body *storage.Body, size int64, right func([]task.Digest) error) *verified {
	n := min(max(size, 1), storage.ChunkSize)
	return &verified{
		body: body, right: right, free: make([]byte, n), held: make([]byte, 0, n),
		next: func(buf []byte) ([]byte, error) { return body.Next(ctx, buf) },
	}
}

// Read implements io.Reader.
func (v *verified) Read(p []byte) (int, error) {
	for len(v.ready) == 0 {
		if v.err != nil {
			return 0, v.err
		}
		v.fetch()
	}
	n := copy(p, v.ready)
	v.ready = v.ready[n:]
	return n, nil
}

// fetch reads a chunk, and lets go of the one before.
func (v *verified) fetch() {
	chunk, err := v.next(v.free[:cap(v.free)])
	switch {
	case err == nil:
		v.chunks = append(v.chunks, task.Sum(chunk))
		v.ready, v.held, v.free = v.held, chunk, v.held
		return
	case errors.Is(err, io.EOF):
		if err = v.right(v.chunks); err == nil {
			v.ready, v.held, err = v.held, nil, io.EOF
		}
	}
	v.err = err
}
