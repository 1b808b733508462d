package storagetest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// TestShared runs the tests of what storage.Shared promises beyond
// storage.Blobs, each with a new, empty store from open. again opens a store a
// second time, as another node does; it may return the same one.
func TestShared(t *testing.T, open func(t *testing.T) storage.Shared, again func(t *testing.T, s storage.Shared) storage.Shared) {
	s := shared{open, again}
	for _, c := range []struct {
		name string
		test func(*shared, *testing.T)
	}{
		{"put aside", (*shared).testPutAside},
		{"bring back", (*shared).testBringBack},
		{"may not", (*shared).testMayNot},
		{"put aside twice", (*shared).testTwice},
		{"drop", (*shared).testDrop},
		{"drop what was put again", (*shared).testDropPutAgain},
		{"list ends", (*shared).testListEnds},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(&s, t) })
	}
}

type shared struct {
	open  func(t *testing.T) storage.Shared
	again func(t *testing.T, s storage.Shared) storage.Shared
}

func putAside(t *testing.T, s storage.Shared, d task.Digest, stamp int64) {
	t.Helper()
	if err := s.PutAside(t.Context(), d, stamp, func() error { return nil }); err != nil {
		t.Fatalf("put aside: %v", err)
	}
}

// wantAside compares what is aside, in its order.
func wantAside(t *testing.T, s storage.Shared, want ...storage.Aside) {
	t.Helper()
	i := 0
	err := s.ListAside(t.Context(), func(a storage.Aside) error {
		if i >= len(want) || a != want[i] {
			t.Errorf("aside at %d: %s, stamp %d, %d bytes; want %+v", i, a.Digest.Short(), a.Stamp, a.Size, want)
		}
		i++
		return nil
	})
	if err != nil || i != len(want) {
		t.Errorf("list of what is aside: %v after %d, want %d", err, i, len(want))
	}
}

func (s *shared) testPutAside(t *testing.T) {
	store := s.open(t)
	large, small := Random(3*storage.ChunkSize+7, 1), []byte("small")
	for _, b := range [][]byte{large, small} {
		mustPut(t, store, b)
	}
	putAside(t, store, task.Sum(large), 7)
	listed := 0
	if err := store.List(t.Context(), func(d task.Digest, _ int64) error {
		if listed++; d != task.Sum(small) {
			t.Errorf("%s is listed", d.Short())
		}
		return nil
	}); err != nil || listed != 1 {
		t.Errorf("list: %v after %d", err, listed)
	}
	if u, err := store.Usage(t.Context()); err != nil || u.Blobs != 1 {
		t.Errorf("usage %+v (%v), want 1 blob", u, err)
	}
	wantAside(t, store, storage.Aside{Digest: task.Sum(large), Stamp: 7, Size: int64(len(large))})
	putAside(t, store, task.Sum([]byte("not there")), 7)
	wantAside(t, store, storage.Aside{Digest: task.Sum(large), Stamp: 7, Size: int64(len(large))})
}

// Whoever needs a blob that was put aside does not notice, at any node, nor in
// the middle of reading it.
func (s *shared) testBringBack(t *testing.T) {
	store := s.open(t)
	other := s.again(t, store)
	for _, size := range []int{0, 5, storage.ChunkSize, 2*storage.ChunkSize + 3} {
		b := Random(size, uint64(size))
		d := mustPut(t, store, b)
		putAside(t, store, d, 1)
		wantBlob(t, other, b)
		putAside(t, store, d, 2)
		if ok, err := other.Has(t.Context(), d); !ok || err != nil {
			t.Errorf("%d bytes: has %v, %v, want true", size, ok, err)
		}
		blob, err := other.Open(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		putAside(t, store, d, 3)
		got := make([]byte, size)
		if n, err := blob.ReadAt(got, 0); n != size || !bytes.Equal(got, b) {
			t.Errorf("%d bytes, put aside while they are open: read %d, %v", size, n, err)
		}
		if err := blob.Close(); err != nil {
			t.Error(err)
		}
		wantBlob(t, store, b)
	}
}

// A removal that is not allowed in the end does nothing.
func (s *shared) testMayNot(t *testing.T) {
	store := s.open(t)
	b := Text(2*storage.ChunkSize, 1)
	d := mustPut(t, store, b)
	refused := errors.New("not the leader")
	if err := store.PutAside(t.Context(), d, 1, func() error { return refused }); err != refused { //nolint:errorlint // as it is
		t.Errorf("put aside: %v, want the function's own error", err)
	}
	wantStored(t, store, b)
	wantBlob(t, store, b)
	// Meanwhile somebody else does the same.
	other := s.again(t, store)
	if err := store.PutAside(t.Context(), d, 2, func() error {
		putAside(t, other, d, 3)
		return nil
	}); err != nil {
		t.Errorf("put aside by two: %v", err)
	}
	wantBlob(t, other, b)
}

func (s *shared) testTwice(t *testing.T) {
	store := s.open(t)
	b, c := Text(storage.ChunkSize+1, 1), Text(10, 2)
	d := mustPut(t, store, b)
	for _, stamp := range []int64{9, 10, 1_700_000_000_000} {
		putAside(t, store, d, stamp)
		mustPut(t, store, b)
	}
	var want []storage.Aside
	for _, stamp := range []int64{9, 10, 1_700_000_000_000} {
		want = append(want, storage.Aside{Digest: d, Stamp: stamp, Size: int64(len(b))})
	}
	wantAside(t, store, want...)
	putAside(t, store, mustPut(t, store, c), 5)
	more := storage.Aside{Digest: task.Sum(c), Stamp: 5, Size: 10}
	if bytes.Compare(d[:], more.Digest[:]) < 0 {
		want = append(want, more)
	} else {
		want = append([]storage.Aside{more}, want...)
	}
	wantAside(t, store, want...)
	wantStored(t, store, b)
}

func (s *shared) testDrop(t *testing.T) {
	store := s.open(t)
	for _, size := range []int{3, 2*storage.ChunkSize + 3} {
		b := Random(size, 1)
		d := mustPut(t, store, b)
		putAside(t, store, d, 1)
		for range 2 {
			if err := store.DropAside(t.Context(), storage.Aside{Digest: d, Stamp: 1, Size: int64(size)}); err != nil {
				t.Errorf("drop: %v", err)
			}
		}
		wantAside(t, store)
		if ok, err := store.Has(t.Context(), d); ok || err != nil {
			t.Errorf("%d bytes were dropped: has %v, %v, want false", size, ok, err)
		}
		if u, err := store.Usage(t.Context()); err != nil || u.Blobs != 0 || u.Bytes != 0 {
			t.Errorf("usage %+v (%v), want nothing", u, err)
		}
		wantStored(t, store)
		mustPut(t, store, b) // and comes again
		wantBlob(t, store, b)
		if err := store.Delete(t.Context(), d); err != nil {
			t.Error(err)
		}
	}
}

// What was put again, or brought back, outlives what was aside, the list of its
// chunks included.
func (s *shared) testDropPutAgain(t *testing.T) {
	store := s.open(t)
	b := Random(2*storage.ChunkSize+3, 1)
	d := mustPut(t, store, b)
	for stamp, back := range map[int64]func(){
		1: func() { mustPut(t, store, b) },
		2: func() { wantBlob(t, store, b) },
	} {
		putAside(t, store, d, stamp)
		back()
		if err := store.DropAside(t.Context(), storage.Aside{Digest: d, Stamp: stamp, Size: int64(len(b))}); err != nil {
			t.Errorf("drop: %v", err)
		}
		wantBlob(t, store, b)
	}
	wantAside(t, store)
	wantStored(t, store, b)
}

// Both lists end with the function's own error, and can be changed while they
// are read.
func (s *shared) testListEnds(t *testing.T) {
	store := s.open(t)
	for i := range 20 {
		putAside(t, store, mustPut(t, store, Text(20+i, uint64(i))), int64(i))
	}
	enough, calls := errors.New("enough"), 0
	if err := store.ListAside(t.Context(), func(storage.Aside) error {
		if calls++; calls == 3 {
			return enough
		}
		return nil
	}); err != enough || calls != 3 { //nolint:errorlint // it must come back as it is
		t.Errorf("list of what is aside: %v after %d calls, want the function's own error after 3", err, calls)
	}
	if err := store.ListAside(t.Context(), func(a storage.Aside) error { return store.DropAside(t.Context(), a) }); err != nil {
		t.Errorf("dropping while listing: %v", err)
	}
	wantAside(t, store)
	if err := store.ListAside(canceled(t), func(storage.Aside) error { return nil }); err == nil {
		t.Error("a list with a context that has ended: no error")
	}
	if err := store.ListUnfinished(t.Context(), func(u storage.Unfinished) error {
		t.Errorf("an unfinished upload: %+v", u)
		return nil
	}); err != nil {
		t.Error(err)
	}
	if err := store.ListUnfinished(canceled(t), func(storage.Unfinished) error { return nil }); err == nil {
		t.Error("a list of uploads with a context that has ended: no error")
	}
}
