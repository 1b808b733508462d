package segments_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/segments"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

const (
	fullEnv = "SHEAF_TEST_SEGMENTS_FULL_DISK" // where the child mounts its disk
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
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=2m"); err != nil {
		t.Skip(noMount, err)
	}
	c := segments.Config{Path: filepath.Join(path, "outputs"), SegmentBytes: 256 << 10}
	s := open(t, c)
	var stored [][]byte
	for i := 0; ; i++ {
		blobs := [][]byte{storagetest.Random(60_000, uint64(2*i)), storagetest.Random(200, uint64(2*i+1))}
		err := s.Put(t.Context(), batch(blobs...))
		if errors.Is(err, storage.ErrNoSpace) {
			break
		}
		if err != nil || i > 40 {
			t.Fatalf("batch %d: %v, want ErrNoSpace at last", i, err)
		}
		stored = append(stored, blobs...)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed on a full disk: %v", err)
	}
	s = open(t, c)
	if s.Damage() != (segments.Damage{}) {
		t.Errorf("damage %+v, want none", s.Damage())
	}
	wantAll(t, s, stored)
	var digests []task.Digest
	for _, b := range stored[:len(stored)/2] {
		digests = append(digests, task.Sum(b))
	}
	if err := s.Drop(t.Context(), digests); err != nil {
		t.Errorf("drop on a full disk: %v", err)
	}
	if err := s.Put(t.Context(), batch(stored[0])); err != nil {
		t.Errorf("after room was made: %v", err)
	}
	wantAll(t, s, append(stored[len(stored)/2:], stored[0]))
}

func wantAll(t *testing.T, s *segments.Store, want [][]byte) {
	t.Helper()
	for i, b := range want {
		if got, err := s.Get(t.Context(), task.Sum(b), segments.MaxBlobSize); err != nil || !bytes.Equal(got, b) {
			t.Errorf("blob %d: %v", i, err)
		}
	}
	if u := s.Usage(); u.Blobs != int64(len(want)) {
		t.Errorf("usage %+v, want %d blobs", u, len(want))
	}
}
