package tiered_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/storage/segments"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/storage/tiered"
	"github.com/sheafgrid/sheaf/task"
)

// open makes a store whose large part is large.
func open(t *testing.T, path string, quota int64, large storage.Blobs) (*tiered.Store, *segments.Store) {
	t.Helper()
	small, err := segments.Open(t.Context(), segments.Config{Path: path, Quota: quota})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := small.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return tiered.New(small, large), small
}

func inMemory(t *testing.T, quota int64) *memory.Store {
	t.Helper()
	m, err := memory.New(memory.Config{Quota: quota})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSuite(t *testing.T) {
	type parts struct {
		path  string
		small *segments.Store
		large *memory.Store
	}
	made := map[storage.Blobs]parts{}
	fresh := func(t *testing.T, p parts) storage.Blobs {
		s, small := open(t, p.path, 0, p.large)
		p.small = small
		made[s] = p
		return s
	}
	storagetest.Test(t,
		func(t *testing.T) storage.Blobs {
			return fresh(t, parts{path: t.TempDir(), large: inMemory(t, 0)})
		},
		storagetest.WithReopen(func(t *testing.T, old storage.Blobs) storage.Blobs {
			p := made[old]
			if err := p.small.Close(); err != nil {
				t.Fatal(err)
			}
			return fresh(t, p)
		}))
}

// Each blob is where blobs of its size are kept, and large ones in a batch are
// taken, too.
func TestWhereBlobsGo(t *testing.T) {
	large := inMemory(t, 0)
	s, small := open(t, t.TempDir(), 0, large)
	var batch []storage.Small
	for _, size := range []int{0, 1, segments.MaxBlobSize, segments.MaxBlobSize + 1, storage.MaxSmallSize} {
		b := storagetest.Random(size, uint64(size))
		batch = append(batch, storage.Small{Digest: task.Sum(b), Bytes: b})
	}
	if err := s.PutBatch(t.Context(), batch[1:]); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), batch[0].Digest, 0, bytes.NewReader(nil)); err != nil {
		t.Fatal(err)
	}
	for i, b := range batch {
		inSmall, err := small.Has(t.Context(), b.Digest)
		if err != nil {
			t.Fatal(err)
		}
		inLarge, err := large.Has(t.Context(), b.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if inSmall != (i < 3) || inLarge == inSmall {
			t.Errorf("%d bytes: among the small %t, among the large %t", len(b.Bytes), inSmall, inLarge)
		}
		if got, err := storage.ReadAll(t.Context(), s, b.Digest, storage.MaxSmallSize); err != nil || !bytes.Equal(got, b.Bytes) {
			t.Errorf("%d bytes: read %d, %v", len(b.Bytes), len(got), err)
		}
	}
}

// What a blob is kept for is listed with it, in order, for each group once; a
// large blob is in none, and there for all.
func TestListGrouped(t *testing.T) {
	s, _ := open(t, t.TempDir(), 0, inMemory(t, 0))
	small, large := []byte("small"), bytes.Repeat([]byte("x"), segments.MaxBlobSize+1)
	var batch []storage.Small
	for _, group := range []uint64{7, 0, 3, 7} {
		batch = append(batch, storage.Small{Digest: task.Sum(small), Bytes: small, Group: group})
	}
	batch = append(batch, storage.Small{Digest: task.Sum(large), Bytes: large, Group: 7})
	if err := s.PutBatch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	got := map[task.Digest][]uint64{}
	err := s.ListGrouped(t.Context(), func(d task.Digest, group uint64, _ int64) error {
		got[d] = append(got[d], group)
		return nil
	})
	if err != nil || !slices.Equal(got[task.Sum(small)], []uint64{0, 3, 7}) || !slices.Equal(got[task.Sum(large)], []uint64{0}) {
		t.Errorf("got groups %v, %v; want 0, 3 and 7 of the small blob, 0 of the large one", got, err)
	}
	for _, k := range []struct {
		digest task.Digest
		group  uint64
		want   bool
	}{{task.Sum(small), 3, true}, {task.Sum(small), 4, false}, {task.Sum(large), 4, true}, {task.EmptyDigest, 0, false}} {
		if got, err := s.HasIn(t.Context(), k.group, k.digest); err != nil || got != k.want {
			t.Errorf("blob %s in group %d: got %t, %v; want %t", k.digest.Short(), k.group, got, err, k.want)
		}
	}
	count := 0
	if err := s.List(t.Context(), func(task.Digest, int64) error { count++; return nil }); err != nil || count != 2 {
		t.Errorf("%d blobs are listed, %v; want each once", count, err)
	}
}
