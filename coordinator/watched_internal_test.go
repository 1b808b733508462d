package coordinator

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/internal/diskwatch"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/faulty"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/task"
)

func watched(t *testing.T, faults ...faulty.Fault) *watchedBlobs {
	t.Helper()
	m, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &watchedBlobs{faulty.New(m, faults...), diskwatch.New(), "/data/blobs"}
}

var x = []storage.Small{{Digest: task.Sum([]byte("x")), Bytes: []byte("x")}}

// A store whose disk does not answer ends the node, which says where.
func TestHangingStoreIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		w := watched(t, faulty.Fault{Op: faulty.PutBatch, Before: func(context.Context) error { <-gate; return nil }})
		go func() { _ = w.PutBatch(t.Context(), x) }()
		err := w.disk.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "writing small blobs in /data/blobs") {
			t.Errorf("got %v, want that writing small blobs hangs", err)
		}
		if err := w.Put(t.Context(), x[0].Digest, 1, strings.NewReader("x")); err == nil {
			t.Error("a blob was stored after the disk hung")
		}
		close(gate)
	})
}

// slowly delivers a byte a minute.
type slowly struct{ left int }

func (s *slowly) Read(b []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(time.Minute)
	s.left--
	b[0] = 'x'
	return 1, nil
}

func TestSlowSenderIsNoHangingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watched(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.disk.Run(ctx) }()
		if err := w.Put(t.Context(), task.Sum([]byte("xxx")), 3, &slowly{3}); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("a slow sender counts as a disk that hangs: %v", err)
		}
	})
}

// An error of the disk ends the node; a full disk and a wrong sender do not.
func TestWhichErrorsEndTheNode(t *testing.T) {
	for err, ends := range map[error]bool{
		syscall.EIO: true, syscall.EROFS: true, errors.New("unexpected"): true,
		storage.ErrNoSpace: false, storage.ErrMismatch: false, storage.ErrSource: false, storage.ErrTooLarge: false, context.Canceled: false,
	} {
		w := watched(t, faulty.Fault{Op: faulty.PutBatch, Err: err}, faulty.Fault{Op: faulty.Put, Err: err})
		if got := w.PutBatch(t.Context(), x); !errors.Is(got, err) {
			t.Errorf("%v: got %v", err, got)
		}
		if got := w.disk.Err(); (got != nil) != ends {
			t.Errorf("%v: the node ends with %v, want that it ends: %t", err, got, ends)
		}
	}
}
