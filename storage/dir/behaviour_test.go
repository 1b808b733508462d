package dir_test

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

// A store with one coder serves others while a sender dawdles or stalls.
func TestSlowSenderBlocksNobody(t *testing.T) {
	s := open(t, dir.Config{Coders: 1})
	slow := storagetest.Text(2*storage.ChunkSize, 1)
	half, full := make(chan struct{}), make(chan struct{})
	r, w := io.Pipe()
	go func() {
		_, _ = w.Write(slow[:storage.ChunkSize+10])
		close(half)
		<-full
		_, _ = w.Write(slow[storage.ChunkSize+10:])
		_ = w.Close()
	}()
	done := make(chan error)
	go func() { done <- s.Put(t.Context(), task.Sum(slow), int64(len(slow)), r) }()
	<-half
	b := storagetest.Text(storage.ChunkSize+7, 2)
	d := put(t, s, b)
	if got, err := storage.ReadAll(t.Context(), s, d, 2<<20); err != nil || !bytes.Equal(got, b) {
		t.Errorf("read: %v", err)
	}
	if have, err := s.Has(t.Context(), task.Sum(slow)); have || err != nil {
		t.Errorf("half a blob is there: %v, %v", have, err)
	}
	close(full)
	if err := <-done; err != nil {
		t.Errorf("the slow put: %v", err)
	}
	if err := s.Verify(t.Context(), task.Sum(slow)); err != nil {
		t.Error(err)
	}
}

// More readers than there are slots for chunks take turns.
func TestManyReadersFewSlots(t *testing.T) {
	s := open(t, dir.Config{Coders: 2})
	b := storagetest.Text(5*storage.ChunkSize, 1)
	blob, err := s.Open(t.Context(), put(t, s, b))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			p := make([]byte, 50_000)
			for i := range 10 {
				off := (g*700_001 + i*510_007) % (len(b) - len(p))
				if _, err := blob.ReadAt(p, int64(off)); err != nil || !bytes.Equal(p, b[off:off+len(p)]) {
					t.Errorf("read at %d: %v", off, err)
				}
			}
		})
	}
	all.Wait()
}

// Reading a blob in pieces expands each of its chunks once.
func TestSmallReadsAreCheap(t *testing.T) {
	s := open(t, dir.Config{Coders: 1})
	b := storagetest.Text(2*storage.ChunkSize, 1)
	blob, err := s.Open(t.Context(), put(t, s, b))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if err := iotest.TestReader(io.NewSectionReader(blob, storage.ChunkSize-500, 1000), b[storage.ChunkSize-500:][:1000]); err != nil {
		t.Error(err)
	}
	p := make([]byte, 100)
	if _, err := blob.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if allocs := testing.AllocsPerRun(100, func() { _, _ = blob.ReadAt(p, 100) }); allocs > 3 {
		t.Errorf("%v allocations for a read of a chunk that is there, want at most 3", allocs)
	}
}

func TestLargestBlob(t *testing.T) {
	s := open(t, dir.Config{MaxBlob: 1000})
	put(t, s, make([]byte, 1000))
	b := make([]byte, 1001)
	if err := s.Put(t.Context(), task.Sum(b), 1001, bytes.NewReader(b)); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("put: %v, want ErrTooLarge", err)
	}
	if err := s.PutBatch(t.Context(), []storage.Small{{Digest: task.Sum(b), Bytes: b}}); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("batch: %v, want ErrTooLarge", err)
	}
}

// What compresses takes less room, once it is stored.
func TestCompression(t *testing.T) {
	for _, c := range []struct {
		name       string
		b          []byte
		least, max int64
	}{
		{"zeros", make([]byte, 8<<20), 4096, 8192},
		{"text", storagetest.Text(8<<20, 1), 2 << 20, 5 << 20},
		{"random", storagetest.Random(8<<20, 1), 8 << 20, 8<<20 + 4096},
		{"one byte", []byte{1}, 4096, 4096},
	} {
		s := open(t, dir.Config{})
		d := put(t, s, c.b)
		u, err := s.Usage(t.Context())
		if err != nil || u.Bytes < c.least || u.Bytes > c.max {
			t.Errorf("%s: %d bytes take %d (%v), want %d to %d", c.name, len(c.b), u.Bytes, err, c.least, c.max)
		}
		if err := s.Verify(t.Context(), d); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestInABubble(t *testing.T) {
	path := t.TempDir()
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, dir.Config{Path: path})
			b := storagetest.Text(2*storage.ChunkSize, 1)
			d := put(t, s, b)
			if got, err := storage.ReadAll(t.Context(), s, d, 4<<20); err != nil || !bytes.Equal(got, b) {
				t.Errorf("read: %v", err)
			}
		})
	}
}
