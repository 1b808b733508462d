package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

func (s *suite) testSizes(t *testing.T) {
	store := s.open(t)
	var all [][]byte
	for name, b := range samples() {
		mustPut(t, store, b)
		all = append(all, b)
		t.Run(name, func(t *testing.T) {
			wantBlob(t, store, b)
			blob, err := store.Open(t.Context(), task.Sum(b))
			if err != nil {
				t.Fatal(err)
			}
			defer blob.Close()
			if blob.Size() != int64(len(b)) {
				t.Errorf("size %d, want %d", blob.Size(), len(b))
			}
		})
	}
	wantStored(t, store, all...)
}

func (s *suite) testIdempotent(t *testing.T) {
	store := s.open(t)
	b := Text(storage.ChunkSize+5, 1)
	mustPut(t, store, b)
	before, err := store.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingReader{r: bytes.NewReader(b)}
	if err := store.Put(t.Context(), task.Sum(b), int64(len(b)), counted); err != nil {
		t.Errorf("second put: %v", err)
	}
	if counted.n != len(b) {
		t.Errorf("the second put read %d bytes, want all %d (T3)", counted.n, len(b))
	}
	wrong := bytes.Clone(b)
	wrong[len(b)-1] ^= 1
	if err := store.Put(t.Context(), task.Sum(b), int64(len(b)), bytes.NewReader(wrong)); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("wrong bytes for a blob that is there: %v, want ErrMismatch (T3)", err)
	}
	if after, err := store.Usage(t.Context()); err != nil || after != before {
		t.Errorf("usage %+v (%v), want unchanged %+v", after, err, before)
	}
	wantBlob(t, store, b)
	wantStored(t, store, b)
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func (s *suite) testMismatch(t *testing.T) {
	store := s.open(t)
	kept := Random(100, 1)
	mustPut(t, store, kept)
	for name, b := range map[string][]byte{"short": Text(300, 2), "long": Text(3*storage.ChunkSize, 3), "empty": {}} {
		d, n := task.Sum(b), int64(len(b))
		flipped := append(bytes.Clone(b), 'x')[:len(b)]
		if n > 0 {
			flipped[n/2] ^= 0x10
		}
		for what, c := range map[string]struct {
			digest task.Digest
			size   int64
			body   []byte
		}{
			"no digest":     {task.Digest{}, n, b},
			"wrong digest":  {task.Sum([]byte("other")), n, b},
			"one bit off":   {d, n, flipped},
			"size too low":  {d, n - 1, b},
			"size too high": {d, n + 1, b},
			"size negative": {d, -1, b},
			"nothing comes": {d, n + storage.ChunkSize, nil},
		} {
			if n == 0 && what == "one bit off" {
				continue
			}
			err := store.Put(t.Context(), c.digest, c.size, bytes.NewReader(c.body))
			if !errors.Is(err, storage.ErrMismatch) || !strings.Contains(err.Error(), c.digest.String()) {
				t.Errorf("%s, %s: %v, want ErrMismatch that names the blob", name, what, err)
			}
			if have, err := store.Has(t.Context(), c.digest); have || err != nil {
				t.Errorf("%s, %s: has %v, %v, want nothing stored", name, what, have, err)
			}
		}
	}
	wantStored(t, store, kept)
}

// forbidden is a reader that must not be read.
type forbidden struct{ t *testing.T }

func (f forbidden) Read([]byte) (int, error) {
	f.t.Error("the body was read")
	return 0, io.EOF
}

func (s *suite) testTooLarge(t *testing.T) {
	store := s.open(t)
	err := store.Put(t.Context(), task.Sum(nil), storage.MaxBlobSize+1, forbidden{t})
	if !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("put: %v, want ErrTooLarge", err)
	}
	big := make([]byte, storage.MaxSmallSize+1)
	err = store.PutBatch(t.Context(), []storage.Small{{Digest: task.Sum(big), Bytes: big}})
	if !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("batch: %v, want ErrTooLarge", err)
	}
	wantStored(t, store)
}

func (s *suite) testSourceFails(t *testing.T) {
	store := s.open(t)
	b := Text(2*storage.ChunkSize+77, 1)
	broken := errors.New("connection reset")
	for _, after := range []int{0, 1, storage.ChunkSize - 1, storage.ChunkSize, storage.ChunkSize + 1, len(b) - 1, len(b)} {
		r := io.MultiReader(bytes.NewReader(b[:after]), iotest.ErrReader(broken))
		err := store.Put(t.Context(), task.Sum(b), int64(len(b)), r)
		if !errors.Is(err, storage.ErrSource) || !errors.Is(err, broken) || errors.Is(err, storage.ErrMismatch) {
			t.Errorf("after %d bytes: %v, want ErrSource and what the reader said", after, err)
		}
		wantStored(t, store)
	}
	for name, failure := range map[string]error{
		"unexpected end":            io.ErrUnexpectedEOF,
		"an end that was wrapped":   fmt.Errorf("proxy: %w", io.EOF),
		"the sender's disk is full": syscall.ENOSPC, // which says nothing about ours
	} {
		for _, after := range []int{0, 10, storage.ChunkSize} {
			r := io.MultiReader(bytes.NewReader(b[:after]), iotest.ErrReader(failure))
			err := store.Put(t.Context(), task.Sum(b), int64(len(b)), r)
			if !errors.Is(err, storage.ErrSource) || errors.Is(err, storage.ErrNoSpace) || errors.Is(err, storage.ErrMismatch) {
				t.Errorf("%s after %d bytes: %v, want ErrSource alone", name, after, err)
			}
		}
	}
	wantStored(t, store)
	mustPut(t, store, b)
	wantStored(t, store, b)
}

// oddReader answers whatever it is told.
type oddReader func(p []byte) (int, error)

func (f oddReader) Read(p []byte) (int, error) { return f(p) }

func (s *suite) testOddReaders(t *testing.T) {
	store := s.open(t)
	b := Text(5000, 1)
	for name, r := range map[string]io.Reader{
		"one byte at a time": iotest.OneByteReader(bytes.NewReader(b)),
		"end with the data":  iotest.DataErrReader(bytes.NewReader(b)),
		"half at a time":     iotest.HalfReader(bytes.NewReader(b)),
	} {
		if err := store.Put(t.Context(), task.Sum(b), int64(len(b)), r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wantBlob(t, store, b)
	}
	for name, f := range map[string]oddReader{
		"never anything": func([]byte) (int, error) { return 0, nil },
		"too many bytes": func(p []byte) (int, error) { return len(p) + 1, nil },
		"negative bytes": func([]byte) (int, error) { return -1, nil },
	} {
		if err := store.Put(t.Context(), task.Sum(nil), 10, f); !errors.Is(err, storage.ErrSource) {
			t.Errorf("%s: %v, want ErrSource", name, err)
		}
	}
	wantStored(t, store, b)
}

func (s *suite) testContext(t *testing.T) {
	store := s.open(t)
	b := Text(2*storage.ChunkSize, 1)
	d := task.Sum(b)
	if err := store.Put(canceled(t), d, int64(len(b)), forbidden{t}); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v, want Canceled", err)
	}
	if err := store.PutBatch(canceled(t), []storage.Small{{Digest: task.Sum(nil)}}); !errors.Is(err, context.Canceled) {
		t.Errorf("batch: %v, want Canceled", err)
	}
	if _, err := store.Open(canceled(t), d); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v, want Canceled", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	midway := oddReader(func(p []byte) (int, error) {
		cancel()
		return copy(p, b), nil
	})
	if err := store.Put(ctx, d, int64(len(b)), midway); !errors.Is(err, context.Canceled) {
		t.Errorf("put canceled midway: %v, want Canceled", err)
	}
	wantStored(t, store)
	mustPut(t, store, b)
	if err := store.List(canceled(t), func(task.Digest, int64) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("list: %v, want Canceled", err)
	}
	if err := store.Delete(canceled(t), d); !errors.Is(err, context.Canceled) {
		t.Errorf("delete: %v, want Canceled", err)
	}
	wantStored(t, store, b)
}

func (s *suite) testConcurrentSame(t *testing.T) {
	store := s.open(t)
	b := Text(2*storage.ChunkSize+9, 1)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := store.Put(t.Context(), task.Sum(b), int64(len(b)), bytes.NewReader(b)); err != nil {
				t.Errorf("put: %v", err)
			}
			wantBlob(t, store, b)
		})
	}
	all.Wait()
	wantStored(t, store, b)
}

func (s *suite) testFull(t *testing.T) {
	if s.openFull == nil {
		t.Skip("this store has no quota")
	}
	store := s.openFull(t)
	first := Random(int(s.quota/2), 1)
	mustPut(t, store, first)
	err := store.Put(t.Context(), task.Sum([]byte("other")), s.quota/2+1, forbidden{t})
	if !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("put: %v, want ErrNoSpace", err)
	}
	known := store.Put(t.Context(), task.Sum(first), s.quota/2+1, forbidden{t})
	if !errors.Is(known, storage.ErrNoSpace) {
		t.Errorf("put of a blob that is there: %v, want ErrNoSpace as for any other (T3)", known)
	}
	var batch []storage.Small
	for i := range 16 {
		b := Random(int(s.quota/16), uint64(100+i))
		batch = append(batch, storage.Small{Digest: task.Sum(b), Bytes: b})
	}
	if err := store.PutBatch(t.Context(), batch); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("batch: %v, want ErrNoSpace", err)
	}
	wantBlob(t, store, first)
	for _, b := range append(batch, storage.Small{Digest: task.Sum(first)}) {
		if err := store.Delete(t.Context(), b.Digest); err != nil {
			t.Errorf("delete in a full store: %v", err)
		}
	}
	wantStored(t, store)
	second := Random(int(s.quota/2), 2)
	mustPut(t, store, second)
	wantStored(t, store, second)
}
