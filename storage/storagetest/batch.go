package storagetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

func (s *suite) testBatch(t *testing.T) {
	store := s.open(t)
	if err := store.PutBatch(t.Context(), nil); err != nil {
		t.Errorf("an empty batch: %v", err)
	}
	var all [][]byte
	var batch []storage.Small
	for i := range 300 {
		b := Text(20+i, uint64(i))
		all = append(all, b)
		batch = append(batch, storage.Small{Digest: task.Sum(b), Bytes: b})
	}
	large := Random(storage.MaxSmallSize, 1)
	all = append(all, large, nil)
	batch = append(batch, storage.Small{Digest: task.Sum(large), Bytes: large}, storage.Small{Digest: task.EmptyDigest}, batch[0], batch[1])
	for range 2 { // the second time, all of it is there already
		if err := store.PutBatch(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		wantStored(t, store, all...)
	}
	for _, i := range []int{0, 1, 255, 256, 299, 300, 301} {
		wantBlob(t, store, all[i])
	}
	clear(large) // the store must have its own copy
	if _, err := storage.ReadAll(t.Context(), store, batch[300].Digest, storage.MaxSmallSize); err != nil {
		t.Errorf("after the caller used its bytes again: %v", err)
	}
}

func (s *suite) testBadBatch(t *testing.T) {
	store := s.open(t)
	var batch []storage.Small
	for i := range 9 {
		b := Text(40+i, uint64(i))
		batch = append(batch, storage.Small{Digest: task.Sum(b), Bytes: b})
	}
	for _, at := range []int{0, 4, 8} {
		bad := slices.Clone(batch)
		bad[at].Bytes = []byte("something else")
		err := store.PutBatch(t.Context(), bad)
		if !errors.Is(err, storage.ErrMismatch) || !strings.Contains(err.Error(), bad[at].Digest.String()) {
			t.Errorf("wrong bytes at %d: %v, want ErrMismatch that names the blob", at, err)
		}
		wantStored(t, store)
	}
}

func (s *suite) testUsage(t *testing.T) {
	store := s.open(t)
	empty, err := store.Usage(t.Context())
	if err != nil || empty.Blobs != 0 || empty.Bytes != 0 {
		t.Errorf("usage of an empty store: %+v, %v", empty, err)
	}
	b := Random(3*storage.ChunkSize, 1)
	d := mustPut(t, store, b)
	one, err := store.Usage(t.Context())
	if err != nil || one.Blobs != 1 || one.Bytes < int64(len(b)) || one.Bytes > int64(len(b))+64<<10 {
		t.Errorf("usage %+v (%v), want 1 blob of a little over %d bytes", one, err, len(b))
	}
	mustPut(t, store, []byte("one more"))
	for _, d := range []task.Digest{d, task.Sum([]byte("one more"))} {
		if err := store.Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := store.Usage(t.Context()); err != nil || after != empty {
		t.Errorf("usage after all was deleted: %+v (%v), want %+v", after, err, empty)
	}
}
