package dir_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

const (
	fullEnv = "SHEAF_TEST_FULL_DISK" // where the child mounts its disk
	noMount = "cannot mount here"
)

// A disk that is really full: a tmpfs of a few megabytes, in a mount namespace
// of a child's own.
func TestFullDisk(t *testing.T) {
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOnFullDisk$", "-test.v")
	child.Env = append(os.Environ(), fullEnv+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit), strings.Contains(string(out), noMount):
		t.Skipf("needs user namespaces: %v", err)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	}
}

func TestOnFullDisk(t *testing.T) {
	path := os.Getenv(fullEnv)
	if path == "" {
		t.Skip("runs only as a child")
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=6m"); err != nil {
		t.Skip(noMount, err)
	}
	s, err := dir.Open(t.Context(), dir.Config{Path: filepath.Join(path, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var stored [][]byte
	for i := 0; ; i++ {
		b := storagetest.Random(storage.ChunkSize+i, uint64(i))
		err := s.Put(t.Context(), task.Sum(b), int64(len(b)), strings.NewReader(string(b)))
		if errors.Is(err, storage.ErrNoSpace) {
			break
		}
		if err != nil || i > 6 {
			t.Fatalf("blob %d: %v, want ErrNoSpace at last", i, err)
		}
		stored = append(stored, b)
	}
	wantAllWhole(t, s, path, stored)

	var batch []storage.Small
	for i := range 8 {
		b := storagetest.Random(storage.MaxSmallSize, uint64(100+i))
		batch = append(batch, storage.Small{Digest: task.Sum(b), Bytes: b})
	}
	if err := s.PutBatch(t.Context(), batch); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("batch: %v, want ErrNoSpace", err)
	}
	wantAllWhole(t, s, path, stored)

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	fillUp(t, filepath.Join(path, "rest"))
	if s, err = dir.Open(t.Context(), dir.Config{Path: filepath.Join(path, "blobs")}); err != nil {
		t.Fatalf("opened again on a full disk: %v", err)
	}
	wantAllWhole(t, s, path, stored)
	for _, b := range stored[:2] {
		if err := s.Delete(t.Context(), task.Sum(b)); err != nil {
			t.Errorf("delete on a full disk: %v", err)
		}
	}
	put(t, s, stored[0])
	wantAllWhole(t, s, path, append(stored[2:], stored[0]))
}

// fillUp leaves not one byte.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("filling up: %v, want ENOSPC", err)
	}
}

func wantAllWhole(t *testing.T, s *dir.Store, path string, want [][]byte) {
	t.Helper()
	for i, b := range want {
		if err := s.Verify(t.Context(), task.Sum(b)); err != nil {
			t.Errorf("blob %d: %v", i, err)
		}
	}
	if names, err := os.ReadDir(filepath.Join(path, "blobs", "tmp")); err != nil || len(names) > 0 {
		t.Errorf("tmp holds %v (%v), want nothing", names, err)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Blobs != int64(len(want)) {
		t.Errorf("usage %+v (%v), want %d blobs", u, err, len(want))
	}
}
