package dir_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/task"
)

// A store that is open for looking reads and verifies everything, finds damage,
// and changes nothing.
func TestReadOnlyStoreChangesNothing(t *testing.T) {
	path := t.TempDir()
	s, err := dir.Open(t.Context(), dir.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("some bytes "), 200_000)
	digest := task.Sum(body)
	if err := errors.Join(s.Put(t.Context(), digest, int64(len(body)), bytes.NewReader(body)), s.Close()); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(path, "tmp", "left behind")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = dir.OpenReadOnly(t.Context(), dir.Config{Path: path}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if b, err := storage.ReadAll(t.Context(), s, digest, 1<<30); err != nil || !bytes.Equal(b, body) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if err := s.Verify(t.Context(), digest); err != nil {
		t.Error(err)
	}
	if err := s.Put(t.Context(), digest, int64(len(body)), bytes.NewReader(body)); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("put: got %v, want ErrPermission", err)
	}
	if err := s.Delete(t.Context(), digest); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("delete: got %v, want ErrPermission", err)
	}
	if _, err := os.Stat(left); err != nil {
		t.Errorf("looking removed a file: %v", err)
	}
	if _, err := dir.OpenReadOnly(t.Context(), dir.Config{Path: t.TempDir()}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: got %v, want ErrNotExist", err)
	}
}
