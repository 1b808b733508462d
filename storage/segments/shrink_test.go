package segments

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/sheafgrid/sheaf/internal/fsutil"
)

// The file of a large segment that is given up is gone, and one that somebody
// reads stays whole until he has read it.
func TestLargeSegmentGoes(t *testing.T) {
	for _, read := range []bool{false, true} {
		dir := t.TempDir()
		s, err := Open(t.Context(), Config{Path: dir})
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(3 * fsutil.ShrinkStep / MaxBlobSize) {
			body := binary.BigEndian.AppendUint64(bytes.Repeat([]byte{1}, MaxBlobSize-8), i)
			if err := s.Put(t.Context(), grouped(7, body)); err != nil {
				t.Fatal(err)
			}
		}
		g, size := s.following(0)
		if !read {
			g.leave()
		}
		if err := s.DropGroup(t.Context(), 7); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		if names, err := s.disk.list(); err != nil || len(names) > 1 {
			t.Errorf("read: %v: what is left is %v (%v)", read, names, err)
		}
		if _, err := g.file.ReadAt(make([]byte, 1), size-1); (err == nil) != read {
			t.Errorf("read: %v: the last byte: %v", read, err)
		}
		if read {
			g.leave()
		}
		if left := g.users.Load(); left != 0 {
			t.Errorf("read: %v: %d still use the file", read, left)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
