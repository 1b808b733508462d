package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/sheafgrid/sheaf/storage"
)

// Unfinished uploads are what a client sent to an UploadURL and never had
// accepted, and uploads in parts that were broken off. Their names, for
// storage.Unfinished, are that of the object without the store's prefix, or the
// upload's id and that, with a space between.

// maxListed is how many uploads in parts are asked for at a time.
const maxListed = 1000

// ListUnfinished implements storage.Shared. Some servers do not list uploads in
// parts, and remove old ones themselves.
func (s *Store) ListUnfinished(ctx context.Context, fn func(storage.Unfinished) error) error {
	err := s.each(ctx, "incoming/", func(name string, o minio.ObjectInfo) error {
		return fn(storage.Unfinished{Name: "incoming/" + name, State: o.ETag + " " + o.LastModified.String()})
	})
	if err != nil {
		return err
	}
	for key, id := "", ""; ; {
		page, err := s.core.ListMultipartUploads(ctx, s.bucket, s.prefix, key, id, "", maxListed)
		if err != nil {
			return s.about("list of unfinished uploads", err)
		}
		for _, u := range page.Uploads {
			if !s.ours(u.Key) {
				continue
			}
			state, err := s.partsOf(ctx, u.Key, u.UploadID)
			if errors.Is(err, storage.ErrNotFound) {
				continue // it has ended
			}
			if err == nil {
				err = fn(storage.Unfinished{Name: u.UploadID + " " + u.Key[len(s.prefix):], State: state})
			}
			if err != nil {
				return err
			}
		}
		if !page.IsTruncated || page.NextKeyMarker == key && page.NextUploadIDMarker == id {
			return nil
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
}

// ours reports whether an object that is sent in parts is one of this store, and
// not of one whose prefix only begins like this one's.
func (s *Store) ours(key string) bool {
	name, below := strings.CutPrefix(key, s.prefix)
	return below && (strings.HasPrefix(name, "blob/") || strings.HasPrefix(name, "aside/"))
}

// partsOf tells how far an upload in parts has got: how many it has.
func (s *Store) partsOf(ctx context.Context, key, id string) (string, error) {
	for marker, n := 0, 0; ; {
		page, err := s.core.ListObjectParts(ctx, s.bucket, key, id, marker, maxListed)
		if err != nil {
			return "", s.about("unfinished upload", err)
		}
		n += len(page.ObjectParts)
		if !page.IsTruncated || page.NextPartNumberMarker <= marker {
			return fmt.Sprint(n), nil
		}
		marker = page.NextPartNumberMarker
	}
}

// DropUnfinished implements storage.Shared.
func (s *Store) DropUnfinished(ctx context.Context, u storage.Unfinished) error {
	var err error
	if id, key, parts := strings.Cut(u.Name, " "); parts {
		err = s.core.AbortMultipartUpload(ctx, s.bucket, s.prefix+key, id)
	} else {
		err = s.core.RemoveObject(ctx, s.bucket, s.prefix+u.Name, minio.RemoveObjectOptions{})
	}
	if err = s.about("unfinished upload", err); errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}
