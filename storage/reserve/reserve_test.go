package reserve_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/storage/reserve"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

func inMemory(t *testing.T) *memory.Store {
	t.Helper()
	m, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// small is a disk of size bytes that holds a store in memory and nothing else.
func small(t *testing.T, size, floor int64) *reserve.Store {
	t.Helper()
	m := inMemory(t)
	return reserve.NewStore(m, reserve.NewDisk(floor, func() (int64, error) {
		u, err := m.Usage(t.Context())
		return size - u.Bytes, err
	}))
}

func TestSuite(t *testing.T) {
	const quota = 4 << 20
	storagetest.Test(t,
		func(t *testing.T) storage.Blobs { return small(t, 1<<42, 1<<30) },
		storagetest.WithQuota(quota, func(t *testing.T) storage.Blobs { return small(t, quota+1<<30, 1<<30) }))
}

// forbidden is a body that must not be read.
type forbidden struct{ t *testing.T }

func (f forbidden) Read([]byte) (int, error) {
	f.t.Error("the body was read")
	return 0, io.EOF
}

func TestFloorIsKept(t *testing.T) {
	free := int64(1 << 30)
	disk := reserve.NewDisk(1<<30, func() (int64, error) { return free, nil })
	s := reserve.NewStore(inMemory(t), disk)
	if err := s.Put(t.Context(), task.EmptyDigest, 0, forbidden{t}); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("at the floor: %v, want ErrNoSpace", err)
	}
	if err := s.PutBatch(t.Context(), []storage.Small{{Digest: task.EmptyDigest}}); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("a batch at the floor: %v, want ErrNoSpace", err)
	}
	// What is on its way counts.
	free += 1 << 20
	release, err := disk.Take(1, 600<<10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Take(1, 600<<10); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("more than there is, in two parts: %v, want ErrNoSpace", err)
	}
	release()
	if err := s.Put(t.Context(), task.Sum([]byte("x")), 1, bytes.NewReader([]byte("x"))); err != nil {
		t.Errorf("above the floor: %v", err)
	}
	broken := errors.New("broken")
	s = reserve.NewStore(inMemory(t), reserve.NewDisk(1, func() (int64, error) { return 0, broken }))
	if err := s.PutBatch(t.Context(), []storage.Small{{Digest: task.EmptyDigest}}); !errors.Is(err, broken) || errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("a disk that cannot be asked: %v", err)
	}
	if n, _, err := fsutil.Space(t.TempDir()); err != nil || n <= 0 {
		t.Errorf("this disk has %d bytes free (%v)", n, err)
	}
}
