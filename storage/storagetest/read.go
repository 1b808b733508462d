package storagetest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

func (s *suite) testRanges(t *testing.T) {
	store := s.open(t)
	const mib = storage.ChunkSize
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, b := range samples() {
		mustPut(t, store, b)
		blob, err := store.Open(t.Context(), task.Sum(b))
		if err != nil {
			t.Fatal(err)
		}
		size := int64(len(b))
		ranges := [][2]int64{
			{0, 0},
			{0, 1},
			{0, size},
			{0, size + 1},
			{size - 1, 1},
			{size - 1, 2},
			{size, 0},
			{size, 1},
			{size + 1, 1},
			{math.MaxInt64, 1},
			{mib - 1, 2},
			{mib, 1},
			{mib - 1, mib + 2},
			{-1, 1},
			{math.MinInt64, 1},
		}
		for range 20 {
			off := rnd.Int64N(size + 1)
			ranges = append(ranges, [2]int64{off, rnd.Int64N(size - off + 1)})
		}
		for _, r := range ranges {
			wantRange(t, name, blob, b, r[0], r[1])
		}
		if size < 1<<16 {
			if err := iotest.TestReader(io.NewSectionReader(blob, 0, size), b); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := blob.Close(); err != nil {
			t.Errorf("%s: close: %v", name, err)
		}
	}
}

// wantRange holds ReadAt to the words of io.ReaderAt.
func wantRange(t *testing.T, name string, blob io.ReaderAt, b []byte, off, n int64) {
	t.Helper()
	p := make([]byte, n)
	k, err := blob.ReadAt(p, off)
	if off < 0 {
		if err == nil || errors.Is(err, io.EOF) || k != 0 {
			t.Errorf("%s: read of %d at %d: %d, %v, want an error", name, n, off, k, err)
		}
		return
	}
	want := b[min(off, int64(len(b))):]
	want = want[:min(n, int64(len(want)))]
	if !bytes.Equal(p[:k], want) {
		t.Errorf("%s: read of %d at %d: other bytes (%d of them)", name, n, off, k)
	}
	switch {
	case int64(k) < n && !errors.Is(err, io.EOF):
		t.Errorf("%s: read of %d at %d: %d bytes and %v, want EOF", name, n, off, k, err)
	case int64(k) == n && err != nil && !errors.Is(err, io.EOF):
		t.Errorf("%s: read of %d at %d: %v", name, n, off, err)
	}
}

func (s *suite) testClosedBlob(t *testing.T) {
	store := s.open(t)
	blob, err := store.Open(t.Context(), mustPut(t, store, []byte("abc")))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := blob.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if n, err := blob.ReadAt(make([]byte, 1), 0); n != 0 || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: %d, %v, want ErrClosed", n, err)
	}
}

func (s *suite) testNotFound(t *testing.T) {
	store := s.open(t)
	mustPut(t, store, []byte("here"))
	for _, d := range []task.Digest{{}, task.Sum([]byte("elsewhere"))} {
		if _, err := store.Open(t.Context(), d); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("open: %v, want ErrNotFound", err)
		}
		if have, err := store.Has(t.Context(), d); have || err != nil {
			t.Errorf("has: %v, %v, want false", have, err)
		}
		if err := store.Delete(t.Context(), d); err != nil {
			t.Errorf("delete: %v, want nil", err)
		}
	}
}

func (s *suite) testReadAll(t *testing.T) {
	store := s.open(t)
	b := Text(storage.ChunkSize+1, 1)
	d := mustPut(t, store, b)
	if _, err := storage.ReadAll(t.Context(), store, d, int64(len(b))-1); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("limit one too low: %v, want ErrTooLarge", err)
	}
	got, err := storage.ReadAll(t.Context(), store, d, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	clear(got) // the caller owns them
	wantBlob(t, store, b)
	if _, err := storage.ReadAll(t.Context(), store, task.Sum(nil), 0); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a blob that is not there: %v, want ErrNotFound", err)
	}
}

func (s *suite) testDelete(t *testing.T) {
	store := s.open(t)
	a, b := Text(storage.ChunkSize+1, 1), Text(100, 2)
	for range 2 {
		mustPut(t, store, a)
		mustPut(t, store, b)
		wantStored(t, store, a, b)
		for range 2 {
			if err := store.Delete(t.Context(), task.Sum(a)); err != nil {
				t.Errorf("delete: %v", err)
			}
			wantStored(t, store, b)
			if _, err := store.Open(t.Context(), task.Sum(a)); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("open: %v, want ErrNotFound", err)
			}
		}
	}
	if err := store.Delete(t.Context(), task.Sum(b)); err != nil {
		t.Errorf("delete: %v", err)
	}
	wantStored(t, store)
}

func (s *suite) testList(t *testing.T) {
	store := s.open(t)
	var all [][]byte
	for i := range 100 {
		b := Text(i*7, uint64(i))
		all = append(all, b)
		mustPut(t, store, b)
	}
	wantStored(t, store, all...)
	enough := errors.New("enough")
	calls := 0
	err := store.List(t.Context(), func(task.Digest, int64) error {
		calls++
		if calls == 3 {
			return enough
		}
		return nil
	})
	if err != enough || calls != 3 { //nolint:errorlint // it must come back as it is
		t.Errorf("list: %v after %d calls, want the function's own error after 3", err, calls)
	}
}

// Collecting garbage deletes while it lists.
func (s *suite) testListAndChange(t *testing.T) {
	store := s.open(t)
	var all [][]byte
	for i := range 40 {
		b := Text(20+i, uint64(i))
		all = append(all, b)
		mustPut(t, store, b)
	}
	i, kept := 0, [][]byte(nil)
	err := store.List(t.Context(), func(d task.Digest, _ int64) error {
		i++
		if i%2 == 0 {
			return store.Delete(t.Context(), d)
		}
		k := slices.IndexFunc(all, func(b []byte) bool { return task.Sum(b) == d })
		kept = append(kept, all[k])
		mustPut(t, store, all[k])
		wantBlob(t, store, all[k])
		return nil
	})
	if err != nil || i != len(all) {
		t.Errorf("list: %v after %d blobs, want %d", err, i, len(all))
	}
	wantStored(t, store, kept...)
}

func (s *suite) testConcurrentAll(t *testing.T) {
	store := s.open(t)
	shared := Text(3*storage.ChunkSize, 1)
	d := mustPut(t, store, shared)
	want := [][]byte{shared}
	var all sync.WaitGroup
	for g := range 6 {
		mine := Text(storage.ChunkSize/2+g, uint64(g))
		want = append(want, mine)
		all.Go(func() {
			for i := range 4 {
				mustPutAsync(t, store, mine)
				small := Text(50+i, uint64(1000*g+i))
				batch := []storage.Small{{Digest: task.Sum(small), Bytes: small}}
				if err := store.PutBatch(t.Context(), batch); err != nil {
					t.Errorf("batch: %v", err)
				}
				blob, err := store.Open(t.Context(), d)
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				off := int64((g*4 + i) * 100_000)
				wantRange(t, "shared", blob, shared, off, 70_000)
				_ = blob.Close()
				wantBlob(t, store, mine)
				if err := store.Delete(t.Context(), task.Sum(small)); err != nil {
					t.Errorf("delete: %v", err)
				}
			}
		})
	}
	all.Wait()
	wantStored(t, store, want...)
}

func mustPutAsync(t *testing.T, store storage.Blobs, b []byte) {
	t.Helper()
	if err := store.Put(t.Context(), task.Sum(b), int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Errorf("put: %v", err)
	}
}

func (s *suite) testReopen(t *testing.T) {
	if s.reopen == nil {
		t.Skip("this store does not outlive its process")
	}
	store := s.open(t)
	var all [][]byte
	for _, b := range samples() {
		all = append(all, b)
		mustPut(t, store, b)
	}
	var batch []storage.Small
	for i := range 20 {
		b := Text(30+i, uint64(i))
		all = append(all, b)
		batch = append(batch, storage.Small{Digest: task.Sum(b), Bytes: b})
	}
	if err := store.PutBatch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	before, err := store.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		store = s.reopen(t, store)
		wantStored(t, store, all...)
		for _, b := range all {
			wantBlob(t, store, b)
		}
		if after, err := store.Usage(t.Context()); err != nil || after != before {
			t.Errorf("usage %+v (%v), want %+v as before", after, err, before)
		}
	}
}
