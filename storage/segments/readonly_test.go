package segments_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/segments"
	"github.com/sheafgrid/sheaf/task"
)

// written is a store with some blobs, closed.
func written(t *testing.T) (dir string, blobs []storage.Small) {
	t.Helper()
	dir = t.TempDir()
	s, err := segments.Open(t.Context(), segments.Config{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		blobs = append(blobs, storage.SmallOf(fmt.Appendf(nil, "the bytes of blob %d", i)))
	}
	if err := errors.Join(s.Put(t.Context(), blobs), s.Close()); err != nil {
		t.Fatal(err)
	}
	return dir, blobs
}

// inspected is what Inspect tells of a directory.
func inspected(t *testing.T, dir string) (whole int64, damage []string) {
	t.Helper()
	whole, err := segments.Inspect(t.Context(), dir, func(err error) {
		if !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("told of %v, want ErrCorrupt", err)
		}
		damage = append(damage, err.Error())
	})
	if err != nil {
		t.Fatal(err)
	}
	return whole, damage
}

// Whatever bit flips is told of with its file; nothing is written while looking.
func TestInspectFindsEveryFlippedBit(t *testing.T) {
	dir, blobs := written(t)
	path := filepath.Join(dir, "00000001.segment")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if whole, damage := inspected(t, dir); whole != int64(len(blobs)) || len(damage) > 0 {
		t.Fatalf("%d blobs, %q; want %d and no damage", whole, damage, len(blobs))
	}
	last := len(good) - len(blobs[19].Bytes) - 56 // the last record may be a write that was interrupted
	for at := 0; at < last; at += 3 {
		b := append([]byte(nil), good...)
		b[at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, damage := inspected(t, dir); len(damage) == 0 || !strings.Contains(damage[0], path) {
			t.Fatalf("byte %d: told of %q", at, damage)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != string(b) {
			t.Fatalf("byte %d: looking changed the file, %v", at, err)
		}
	}
}

// A blob that stands elsewhere once more is not lost.
func TestInspectPassesOverWhatStandsTwice(t *testing.T) {
	dir, blobs := written(t)
	path := filepath.Join(dir, "00000001.segment")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), "the bytes of blob 5")
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, damage := inspected(t, dir); len(damage) != 1 || !strings.Contains(damage[0], blobs[5].Digest.String()) {
		t.Errorf("told of %q, want blob 5", damage)
	}
	s, err := segments.Open(t.Context(), segments.Config{Path: dir})
	if err == nil {
		err = errors.Join(s.Put(t.Context(), blobs[5:6]), s.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, damage := inspected(t, dir); len(damage) > 0 {
		t.Errorf("told of %q although it was put again", damage)
	}
}

// A store that is open for looking reads everything and changes nothing, not even
// what a power cut left.
func TestReadOnlyStoreChangesNothing(t *testing.T) {
	dir, blobs := written(t)
	path := filepath.Join(dir, "00000001.segment")
	torn, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = torn.WriteString("\xb1\x73\x72\x9c\x01 cut")
		err = errors.Join(err, torn.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := segments.OpenReadOnly(t.Context(), segments.Config{Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs {
		if got, err := s.Get(t.Context(), b.Digest, 1<<10); err != nil || task.Sum(got) != b.Digest {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := s.Put(t.Context(), []storage.Small{storage.SmallOf([]byte("new"))}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("put: got %v, want ErrPermission", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the segment was changed, %v", err)
	}
}
