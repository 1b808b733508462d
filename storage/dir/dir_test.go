package dir_test

import (
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/storagetest"
)

func open(t testing.TB, c dir.Config) *dir.Store {
	t.Helper()
	if c.Path == "" {
		c.Path = t.TempDir()
	}
	s, err := dir.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestSuite(t *testing.T) {
	const quota = 1 << 20
	paths := map[storage.Blobs]string{}
	storagetest.Test(t,
		func(t *testing.T) storage.Blobs {
			path := t.TempDir()
			s := open(t, dir.Config{Path: path})
			paths[s] = path
			return s
		},
		storagetest.WithReopen(func(t *testing.T, old storage.Blobs) storage.Blobs {
			if err := old.(*dir.Store).Close(); err != nil {
				t.Fatal(err)
			}
			s := open(t, dir.Config{Path: paths[old]})
			paths[s] = paths[old]
			return s
		}),
		storagetest.WithQuota(quota, func(t *testing.T) storage.Blobs {
			return open(t, dir.Config{Quota: quota + 4<<10, Coders: 1})
		}))
}
