package consensus

import (
	"fmt"
	"os"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// A former leader cuts off what was never committed; its log must open again.
func TestLogOpensAfterItsEndWasCutOff(t *testing.T) {
	dir := t.TempDir()
	open := func() *wal.WAL {
		t.Helper()
		meta := &metadb.BoltMetaDB{}
		w, err := wal.Open(dir, wal.WithSegmentSize(1<<16), wal.WithMetaStore(meta), wal.WithSegmentFiler(newSegments(dir)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close(); _ = meta.Close() })
		return w
	}
	store := func(w *wal.WAL, term, from, to uint64) {
		t.Helper()
		for i := from; i <= to; i++ {
			if err := w.StoreLog(&raft.Log{Index: i, Term: term, Data: fmt.Appendf(nil, "%d of term %d", i, term)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	w := open()
	store(w, 1, 1, 10)
	for term := uint64(2); term < 5; term++ {
		if err := w.DeleteRange(9, 10); err != nil {
			t.Fatal(err)
		}
		store(w, term, 9, 10)
	}
	// As after kill -9: the files are copied while they are open.
	other := t.TempDir()
	if err := copyFiles(other, dir); err != nil {
		t.Fatal(err)
	}
	dir = other
	w = open()
	for i := uint64(1); i <= 10; i++ {
		var l raft.Log
		want := fmt.Sprintf("%d of term 1", i)
		if i > 8 {
			want = fmt.Sprintf("%d of term 4", i)
		}
		if err := w.GetLog(i, &l); err != nil || string(l.Data) != want {
			t.Errorf("entry %d: got %q, %v; want %q", i, l.Data, err, want)
		}
	}
	if last, err := w.LastIndex(); last != 10 || err != nil {
		t.Errorf("the last entry is %d, %v; want 10", last, err)
	}
}

func copyFiles(to, from string) error { return os.CopyFS(to, os.DirFS(from)) }
