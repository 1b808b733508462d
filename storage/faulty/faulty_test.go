package faulty_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/faulty"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

func wrap(t *testing.T, faults ...faulty.Fault) (*faulty.Store, *memory.Store) {
	t.Helper()
	inner, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return faulty.New(inner, faults...), inner
}

func put(t *testing.T, s storage.Blobs, b []byte) error {
	t.Helper()
	return s.Put(t.Context(), task.Sum(b), int64(len(b)), bytes.NewReader(b))
}

// Without faults it is a store like any other.
func TestSuite(t *testing.T) {
	storagetest.Test(t, func(t *testing.T) storage.Blobs {
		s, _ := wrap(t)
		return s
	})
}

func TestKthCallFails(t *testing.T) {
	s, inner := wrap(
		t,
		faulty.Fault{Op: faulty.Put, Call: 2, Err: syscall.ENOSPC},
		faulty.Fault{Op: faulty.Put, Call: 3, Err: syscall.EIO, After: 5},
		faulty.Fault{Op: faulty.Put, Call: 4, Err: syscall.EIO, Done: true},
		faulty.Fault{Op: faulty.PutBatch, Err: storage.ErrNoSpace},
	)
	for i, c := range []struct {
		want   error
		stored bool
	}{{nil, true}, {syscall.ENOSPC, false}, {syscall.EIO, false}, {syscall.EIO, true}, {nil, true}} {
		b := storagetest.Text(100, uint64(i))
		if err := put(t, s, b); !errors.Is(err, c.want) {
			t.Errorf("put %d: %v, want %v", i+1, err, c.want)
		}
		if have, err := inner.Has(t.Context(), task.Sum(b)); have != c.stored || err != nil {
			t.Errorf("put %d: stored is %v (%v), want %v", i+1, have, err, c.stored)
		}
	}
	for range 3 {
		if err := s.PutBatch(t.Context(), nil); !errors.Is(err, storage.ErrNoSpace) {
			t.Errorf("batch: %v, want ErrNoSpace every time", err)
		}
	}
	if got := s.Calls(faulty.Put); got != 5 {
		t.Errorf("%d puts counted, want 5", got)
	}
	s.Script()
	if err := s.PutBatch(t.Context(), nil); err != nil || s.Calls(faulty.Put) != 0 {
		t.Errorf("after the script ended: %v, %d puts", err, s.Calls(faulty.Put))
	}
}

func TestOtherCallsFail(t *testing.T) {
	s, _ := wrap(t)
	b := storagetest.Text(100, 1)
	d := task.Sum(b)
	for _, b := range [][]byte{b, {1}, {2}} {
		if err := put(t, s, b); err != nil {
			t.Fatal(err)
		}
	}
	boom := errors.New("boom")
	s.Script(
		faulty.Fault{Op: faulty.Open, Call: 1, Err: storage.ErrCorrupt}, faulty.Fault{Op: faulty.ReadAt, Call: 1, Err: boom, After: 3},
		faulty.Fault{Op: faulty.Open, Call: 3, Err: boom, Done: true},
		faulty.Fault{Op: faulty.Has, Err: boom}, faulty.Fault{Op: faulty.Delete, Err: boom, Done: true},
		faulty.Fault{Op: faulty.List, Err: boom, After: 2}, faulty.Fault{Op: faulty.Usage, Err: boom},
	)
	if _, err := s.Open(t.Context(), d); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("open: %v, want ErrCorrupt", err)
	}
	blob, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 10)
	if n, err := blob.ReadAt(p, 0); n != 3 || !errors.Is(err, boom) {
		t.Errorf("first read: %d, %v, want 3 bytes and the fault", n, err)
	}
	if n, err := blob.ReadAt(p, 95); n != 5 || !errors.Is(err, io.EOF) {
		t.Errorf("second read: %d, %v, want 5 bytes and EOF", n, err)
	}
	if _, err := s.Open(t.Context(), d); !errors.Is(err, boom) {
		t.Errorf("third open: %v, want the fault", err)
	}
	if have, err := s.Has(t.Context(), d); have || !errors.Is(err, boom) {
		t.Errorf("has: %v, %v", have, err)
	}
	listed := 0
	err = s.List(t.Context(), func(task.Digest, int64) error {
		listed++
		return nil
	})
	if listed != 2 || !errors.Is(err, boom) {
		t.Errorf("list: %d blobs, %v, want 2 and the fault", listed, err)
	}
	if _, err := s.Usage(t.Context()); !errors.Is(err, boom) {
		t.Errorf("usage: %v", err)
	}
	if err := s.Delete(t.Context(), d); !errors.Is(err, boom) {
		t.Errorf("delete: %v", err)
	}
	s.Script()
	if have, err := s.Has(t.Context(), d); have || err != nil {
		t.Errorf("after a delete that was done and failed: %v, %v", have, err)
	}
}

func TestSlowCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		s, inner := wrap(t, faulty.Fault{Op: faulty.Put, Before: hang}, faulty.Fault{Op: faulty.Usage, Before: func(context.Context) error {
			<-time.After(10 * time.Second)
			return nil
		}})
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Put(ctx, task.EmptyDigest, 0, bytes.NewReader(nil)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("put: %v, want DeadlineExceeded", err)
		}
		if have, _ := inner.Has(t.Context(), task.EmptyDigest); have {
			t.Error("a put that hung was done")
		}
		if _, err := s.Usage(t.Context()); err != nil {
			t.Errorf("usage: %v", err)
		}
		if got := time.Since(begin); got != 70*time.Second {
			t.Errorf("it took %v, want 1m10s", got)
		}
	})
}
