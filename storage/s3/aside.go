package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// removalTime is how long the signature of a removal is good for. A server
// refuses what comes later, whatever held it up: a process that stood still, a
// network. With clocks that differ by as much as servers put up with, a quarter
// of an hour, that stays below storage.AsideWithin.
const removalTime = 10 * time.Minute

// maxErrorBody bounds what is read of a refusal, in bytes.
const maxErrorBody = 4096

// asideName orders the stamps of one blob as their numbers are.
func (s *Store) asideName(d task.Digest, stamp int64) string {
	return fmt.Sprintf("%s%020d", s.asidesOf(d), stamp)
}

func (s *Store) asidesOf(d task.Digest) string { return s.prefix + "aside/" + d.String() + "/" }

// PutAside implements storage.Shared. The list of the blob's chunks stays, so
// that the blob can be brought back by one copy.
func (s *Store) PutAside(ctx context.Context, digest task.Digest, stamp int64, may func() error) error {
	if stamp < 0 {
		return fmt.Errorf("blob %s: put aside with stamp %d: it must not be negative", digest, stamp)
	}
	size, err := s.statHere(ctx, digest)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err == nil {
		err = s.copyOf(ctx, digest, size, s.blobName(digest), s.asideName(digest, stamp))
	}
	if err != nil {
		return err
	}
	u, err := s.core.Presign(ctx, http.MethodDelete, s.bucket, s.blobName(digest), removalTime, nil)
	if err != nil {
		return s.about(aboutBlob(digest), err)
	}
	if err := may(); err != nil { // nothing is removed; the copy would only take room
		if left := s.DropAside(context.WithoutCancel(ctx), storage.Aside{Digest: digest, Size: size, Stamp: stamp}); left != nil {
			err = errors.Join(err, left)
		}
		return err
	}
	return s.sendRemoval(ctx, digest, u.String())
}

// sendRemoval sends a removal that was signed before.
func (s *Store) sendRemoval(ctx context.Context, digest task.Digest, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, url, http.NoBody)
	if err != nil {
		return s.about(aboutBlob(digest), errors.New("a removal cannot be signed")) // not err: it shows the signature
	}
	res, err := s.transport.RoundTrip(req)
	if err != nil {
		return s.about(aboutBlob(digest), err)
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxErrorBody) // the connection is used again
	switch res.StatusCode {
	case http.StatusOK, http.StatusNoContent, http.StatusNotFound:
		return nil
	}
	return fmt.Errorf("%s: %w: S3 server %s, bucket %s: a removal was refused: %s", aboutBlob(digest), storage.ErrUnavailable, s.host, s.bucket, res.Status)
}

// copyOf copies an object of so many bytes to another name, on the server.
func (s *Store) copyOf(ctx context.Context, digest task.Digest, size int64, from, to string) (err error) {
	dst := minio.CopyDestOptions{Bucket: s.bucket, Object: to}
	src := minio.CopySrcOptions{Bucket: s.bucket, Object: from}
	if size <= minPart {
		_, err = s.core.Client.CopyObject(ctx, dst, src)
	} else {
		dst.PartSize = uint64(partOf(size))
		_, err = s.core.ComposeObject(ctx, dst, src)
	}
	return s.about(aboutBlob(digest), err)
}

// bringBack returns a blob that was put aside to its place. why says that it is
// not there; it is returned if it is not aside either.
func (s *Store) bringBack(ctx context.Context, digest task.Digest, why error) error {
	var last storage.Aside
	found := false
	err := s.eachAside(ctx, "aside/"+digest.String()+"/", func(a storage.Aside) error {
		last, found = a, true
		return nil
	})
	switch {
	case err != nil:
		return err
	case !found:
		return why
	}
	return s.copyOf(ctx, digest, last.Size, s.asideName(digest, last.Stamp), s.blobName(digest))
}

// ListAside implements storage.Shared.
func (s *Store) ListAside(ctx context.Context, fn func(storage.Aside) error) error {
	return s.eachAside(ctx, "aside/", fn)
}

// eachAside calls fn for what was put aside, below a prefix.
func (s *Store) eachAside(ctx context.Context, below string, fn func(storage.Aside) error) error {
	return s.each(ctx, below, func(name string, o minio.ObjectInfo) error {
		digest, stamp, _ := strings.Cut(o.Key[len(s.prefix+"aside/"):], "/")
		d, err := task.ParseDigest(digest)
		n, err2 := strconv.ParseInt(stamp, 10, 64)
		if err != nil || err2 != nil || s.asideName(d, n) != o.Key {
			return nil // somebody else's
		}
		return fn(storage.Aside{Digest: d, Stamp: n, Size: o.Size})
	})
}

// DropAside implements storage.Shared. The list of chunks goes with a blob that
// is in its place no more; should it come back at this very moment, reading it
// makes the list again.
func (s *Store) DropAside(ctx context.Context, a storage.Aside) error {
	names := []string{s.asideName(a.Digest, a.Stamp)}
	switch _, err := s.statHere(ctx, a.Digest); {
	case errors.Is(err, storage.ErrNotFound) && a.Size > storage.ChunkSize:
		names = []string{s.listName(a.Digest), names[0]}
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		return err
	}
	return s.remove(ctx, a.Digest, names...)
}

// remove removes objects of a blob, one after the other.
func (s *Store) remove(ctx context.Context, digest task.Digest, names ...string) error {
	for _, name := range names {
		err := s.about(aboutBlob(digest), s.core.RemoveObject(ctx, s.bucket, name, minio.RemoveObjectOptions{}))
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	return nil
}
