package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/s3"
	"github.com/sheafgrid/sheaf/storage/segments"
)

// bucket is where a cluster keeps its blobs that uses an S3 server: all of the
// public ones, and the large outputs. Small outputs stay in the nodes' segments:
// each of them would be a request.
type bucket struct {
	public, large *s3.Store
}

// outputs is the store of large outputs; nil without a bucket.
func (b *bucket) outputs() storage.Blobs {
	if b == nil {
		return nil
	}
	return b.large
}

// inBucket reports whether a blob is in the bucket of a cluster that has one.
func inBucket(area blobs.Area, size int64) bool {
	return area == blobs.Public || size > segments.MaxBlobSize
}

// bucketFile notes which bucket a node's blobs are in.
const bucketFile = "bucket"

// bucketOf says which bucket the blobs of a node with that data folder are in; ""
// where they are in the folder itself.
func bucketOf(folder string) (string, error) {
	b, err := os.ReadFile(filepath.Join(folder, bucketFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(b)), err
}

// openBucket opens the bucket that the configuration names; nil if it names
// none. A node whose blobs are elsewhere is refused: it would look for them in
// vain. A server that does not answer is no reason not to start: what needs no
// blob goes on.
func (c *Coordinator) openBucket(ctx context.Context, id Identity) (*bucket, error) {
	before, err := bucketOf(c.cfg.Dir)
	if err != nil {
		return nil, err
	}
	now := ""
	if c.cfg.S3 != nil {
		now = c.cfg.S3.Name()
	}
	switch {
	case before == now:
	case before != "":
		return nil, fmt.Errorf("the blobs of data folder %s are in %s: give --s3-endpoint and --s3-bucket as before", c.cfg.Dir, before)
	default:
		u, err := c.public.Usage(ctx)
		if err != nil {
			return nil, err
		}
		if u.Blobs > 0 {
			return nil, fmt.Errorf("data folder %s holds %d blobs already, which would not be found in %s; a bucket is chosen when the cluster is made", c.cfg.Dir, u.Blobs, now)
		}
		if err := fsutil.WriteFileAtomic(filepath.Join(c.cfg.Dir, bucketFile), []byte(now+"\n"), 0o600); err != nil {
			return nil, err
		}
	}
	if c.cfg.S3 == nil {
		return nil, nil
	}
	open := func(area blobs.Area) (*s3.Store, error) {
		cfg := *c.cfg.S3
		// Clusters that share a bucket do not share blobs.
		cfg.Prefix = strings.TrimPrefix(cfg.Prefix+"/"+id.Cluster.String()+"/"+string(area), "/")
		return s3.New(cfg)
	}
	c.bucket = &bucket{}
	if c.bucket.public, err = open(blobs.Public); err == nil {
		c.bucket.large, err = open(blobs.Outputs)
	}
	if err != nil {
		c.bucket = nil
		return nil, err
	}
	if err := c.bucket.public.Check(ctx); err != nil {
		c.cfg.Logger.Warn("the blobs cannot be reached now; uploads and downloads fail until they can", "error", err)
	}
	return c.bucket, nil
}
