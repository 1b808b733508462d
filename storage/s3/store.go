// Package s3 keeps blobs in a bucket of any server that speaks the S3 protocol.
//
// A blob is an object with its plain bytes, so that clients can read it from
// the server themselves, by URLs that Direct signs. Its bytes are verified
// before the object is there: the last of them are held back until the digest
// of all is known to be right. A blob of more than 1 MiB has a second object
// with the digests of its chunks, so that any range can be checked when it is
// read. The package trusts the server to keep what it has acknowledged, and
// nothing else.
//
//	<prefix>/blob/<digest>       the bytes
//	<prefix>/list/<digest>       of more than 1 MiB: the chunks' digests, one after the other, and the digest of those
//	<prefix>/incoming/<random>   what a client is sending, not verified yet
//	<prefix>/aside/<digest>/<n>  the bytes of a blob that was put aside, with its stamp
//
// A server that does not answer, or refuses, is storage.ErrUnavailable; a full
// one storage.ErrNoSpace. Each call tries a few times, for seconds, and then
// says so: what to do about it is the caller's to decide. The package starts no
// goroutine but those that PutBatch waits for, logs nothing, and lets no key
// into an error.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Store is a bucket with blobs. Make one with New, and Close it.
type Store struct {
	core      minio.Core
	bucket    string
	host      string // for errors
	prefix    string // with a slash at its end, or empty
	transport *http.Transport
}

var _ storage.Shared = (*Store)(nil)

// How long a server may be silent, and how often a call is tried.
const (
	dialTimeout   = 5 * time.Second
	answerTimeout = 60 * time.Second
	tries         = 3
)

// New makes a store. It does not reach the server; Check does.
func New(c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, errors.New("S3 server: its URL cannot be read")
	}
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: answerTimeout, MaxIdleConnsPerHost: 32, IdleConnTimeout: 30 * time.Second,
		DisableCompression: true, // or a range would not be what it says
	}
	region := c.Region
	if region == "" {
		region = "us-east-1"
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(c.Keys.access, c.Keys.secret, ""), Secure: u.Scheme == "https",
		Region: region, Transport: transport, MaxRetries: tries, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, fmt.Errorf("S3 server %s: %w", u.Host, err)
	}
	s := &Store{core: *core, bucket: c.Bucket, host: u.Host, transport: transport}
	if c.Prefix != "" {
		s.prefix = c.Prefix + "/"
	}
	return s, nil
}

// Close gives connections back.
func (s *Store) Close() { s.transport.CloseIdleConnections() }

// Check reaches the server, and reports what is wrong with the bucket or with
// the keys.
func (s *Store) Check(ctx context.Context) error {
	ok, err := s.core.BucketExists(ctx, s.bucket)
	if err != nil {
		return s.about("", err)
	}
	if !ok {
		return fmt.Errorf("S3 server %s has no bucket %q; make it first", s.host, s.bucket)
	}
	return nil
}

func (s *Store) blobName(d task.Digest) string { return s.prefix + "blob/" + d.String() }
func (s *Store) listName(d task.Digest) string { return s.prefix + "list/" + d.String() }

// about gives an error of the server its sentinel, and says what it is about.
// nil stays nil.
func (s *Store) about(what string, err error) error {
	if err == nil {
		return nil
	}
	if what != "" {
		what += ": "
	}
	answer := minio.ToErrorResponse(err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s%w", what, err)
	case answer.Code == minio.NoSuchKey, answer.StatusCode == http.StatusNotFound && answer.Code != minio.NoSuchBucket:
		return fmt.Errorf("%s%w", what, storage.ErrNotFound)
	case answer.StatusCode == http.StatusInsufficientStorage, answer.Code == "QuotaExceeded", answer.Code == "XMinioStorageFull", answer.Code == "XMinioAdminBucketQuotaExceeded":
		return fmt.Errorf("%s%w: S3 server %s, bucket %s: %s", what, storage.ErrNoSpace, s.host, s.bucket, answer.Code)
	case answer.Code != "":
		return fmt.Errorf("%s%w: S3 server %s, bucket %s: %s (%s)", what, storage.ErrUnavailable, s.host, s.bucket, answer.Code, answer.Message)
	}
	return fmt.Errorf("%s%w: S3 server %s: %w", what, storage.ErrUnavailable, s.host, err)
}

func aboutBlob(d task.Digest) string { return "blob " + d.String() }

// Has implements storage.Blobs.
func (s *Store) Has(ctx context.Context, digest task.Digest) (bool, error) {
	_, err := s.stat(ctx, digest)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// stat is the size of a blob. One that was put aside is brought back.
func (s *Store) stat(ctx context.Context, digest task.Digest) (int64, error) {
	size, err := s.statHere(ctx, digest)
	if errors.Is(err, storage.ErrNotFound) {
		if err = s.bringBack(ctx, digest, err); err == nil {
			return s.statHere(ctx, digest)
		}
	}
	return size, err
}

// statHere is the size of a blob that is in its place.
func (s *Store) statHere(ctx context.Context, digest task.Digest) (int64, error) {
	info, err := s.core.StatObject(ctx, s.bucket, s.blobName(digest), minio.StatObjectOptions{})
	return info.Size, s.about(aboutBlob(digest), err)
}

// Delete implements storage.Blobs.
func (s *Store) Delete(ctx context.Context, digest task.Digest) error {
	return s.remove(ctx, digest, s.blobName(digest), s.listName(digest))
}

// List implements storage.Blobs.
func (s *Store) List(ctx context.Context, fn func(digest task.Digest, size int64) error) error {
	return s.each(ctx, "blob/", func(name string, o minio.ObjectInfo) error {
		d, err := task.ParseDigest(name)
		if err != nil {
			return nil // somebody else's
		}
		return fn(d, o.Size)
	})
}

// each calls fn for each object below a prefix, in the order of their names.
func (s *Store) each(ctx context.Context, below string, fn func(name string, o minio.ObjectInfo) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("bucket %s: %w", s.bucket, err)
	}
	prefix := s.prefix + below
	for o := range s.core.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return s.about("list of blobs", o.Err)
		}
		if err := fn(o.Key[len(prefix):], o); err != nil {
			return err
		}
	}
	return nil
}

// Usage implements storage.Blobs. It lists the whole bucket: a request for each
// thousand blobs.
func (s *Store) Usage(ctx context.Context) (storage.Usage, error) {
	var u storage.Usage
	err := s.each(ctx, "blob/", func(_ string, o minio.ObjectInfo) error {
		u.Blobs++
		u.Bytes += o.Size
		return nil
	})
	if err == nil {
		err = s.each(ctx, "list/", func(_ string, o minio.ObjectInfo) error {
			u.Bytes += o.Size
			return nil
		})
	}
	return u, err
}
