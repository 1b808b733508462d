package consensus

import (
	"fmt"
	"os"
	"testing"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
)

// indexless writes files as raft-wal 0.4.0 did: one that is sealed before it is
// full gets no index.
type indexless struct{ types.SegmentFiler }

func (f indexless) Create(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := f.SegmentFiler.Create(info)
	return indexlessWriter{w}, err
}

func (f indexless) RecoverTail(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := f.SegmentFiler.RecoverTail(info)
	return indexlessWriter{w}, err
}

type indexlessWriter struct{ types.SegmentWriter }

func (indexlessWriter) ForceSeal() (uint64, error) { return 0, nil }

// A former leader cuts off what was never committed; its log must open again.
func TestLogOpensAfterItsEndWasCutOff(t *testing.T) {
	for name, written := range map[string]func(dir string) types.SegmentFiler{
		"written by raft-wal 0.4.0": func(dir string) types.SegmentFiler { return indexless{newSegments(dir, newOSLogDisk())} },
		"written now":               func(dir string) types.SegmentFiler { return newSegments(dir, newOSLogDisk()) },
	} {
		t.Run(name, func(t *testing.T) { cutOff(t, written) })
	}
}

func cutOff(t *testing.T, written func(dir string) types.SegmentFiler) {
	dir := t.TempDir()
	open := func(files types.SegmentFiler) *wal.WAL {
		t.Helper()
		w, err := wal.Open(dir, wal.WithSegmentSize(1<<16), wal.WithMetaStore(&metadb.BoltMetaDB{}), wal.WithSegmentFiler(files))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
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
	w := open(written(dir))
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
	w = open(newSegments(dir, newOSLogDisk()))
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
