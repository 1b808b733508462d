package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// MaxDirect bounds what a client may send to the server itself, in bytes: more
// does not go into one request, nor into one copy.
const MaxDirect = int64(5) << 30

// MaxDirect is MaxDirect.
func (s *Store) MaxDirect() int64 { return MaxDirect }

// urlTime is how long a signed URL is good for.
const urlTime = time.Hour

// DownloadURL is where anybody can read a blob for a while, in ranges too.
// Whoever does verifies what comes.
func (s *Store) DownloadURL(ctx context.Context, digest task.Digest) (string, error) {
	u, err := s.core.PresignedGetObject(ctx, s.bucket, s.blobName(digest), urlTime, nil)
	if err != nil {
		return "", s.about(aboutBlob(digest), err)
	}
	return u.String(), nil
}

// UploadURL is where the bytes of a blob can be sent for a while, under an id
// that nobody else uses. They are not the blob until Accept has verified them.
func (s *Store) UploadURL(ctx context.Context, id string) (string, error) {
	u, err := s.core.PresignedPutObject(ctx, s.bucket, s.incomingName(id), urlTime)
	if err != nil {
		return "", s.about("upload", err)
	}
	return u.String(), nil
}

func (s *Store) incomingName(id string) string { return s.prefix + "incoming/" + id }

// Accept makes a blob of what was sent to an UploadURL, after reading all of it
// once. Bytes that are not the blob's are storage.ErrMismatch, and removed; where
// nothing was sent, it is storage.ErrNotFound.
func (s *Store) Accept(ctx context.Context, id string, digest task.Digest, size int64) error {
	if err := storage.CheckSize(digest, size, MaxDirect); err != nil {
		return err
	}
	name := s.incomingName(id)
	r, info, _, err := s.core.GetObject(ctx, s.bucket, name, minio.GetObjectOptions{})
	if err != nil {
		return s.about(aboutBlob(digest), err)
	}
	defer r.Close()
	if info.Size != size {
		err = fmt.Errorf("blob %s: %d bytes were sent, %d were announced: %w", digest, info.Size, size, storage.ErrMismatch)
	} else {
		v := newVerified(ctx, storage.NewBody(digest, size, r), size, func(chunks []task.Digest) error {
			return s.putList(ctx, digest, chunks)
		})
		_, err = io.Copy(io.Discard, v)
	}
	if errors.Is(err, storage.ErrSource) { // what failed to be read is the server's
		return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	if err == nil {
		// What was verified, and not what may have been sent since.
		_, err = s.core.Client.CopyObject(ctx,
			minio.CopyDestOptions{Bucket: s.bucket, Object: s.blobName(digest)},
			minio.CopySrcOptions{Bucket: s.bucket, Object: name, MatchETag: info.ETag})
		err = s.about(aboutBlob(digest), err)
	}
	if err == nil || errors.Is(err, storage.ErrMismatch) {
		_ = s.core.RemoveObject(ctx, s.bucket, name, minio.RemoveObjectOptions{}) // else as an unfinished one
	}
	return err
}
