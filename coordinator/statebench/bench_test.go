package statebench_test

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/coordinator/statebench"
)

func newBench(t *testing.T, hosts int, tasks uint64) *statebench.Bench {
	t.Helper()
	b, err := statebench.New(hosts)
	if err == nil {
		err = b.Submit(tasks)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func check(t *testing.T, b *statebench.Bench) {
	t.Helper()
	if err := b.State().Check(); err != nil {
		t.Error(err)
	}
}

// Held tasks are live, each with two attempts out; and what is written while
// others are reported is the state as it was.
func TestHoldAndSnapshot(t *testing.T) {
	const live = 60_000
	b := newBench(t, 32, 1_000_000_000)
	last := uint64(0)
	if err := b.Hold(live, func(n uint64) error { last = n; return nil }); err != nil {
		t.Fatal(err)
	}
	check(t, b)
	if open := b.State().StageOpen(1); open != 2*live || last != 2*live {
		t.Errorf("%d attempts are out, %d were counted; want %d", open, last, 2*live)
	}
	// Each of the last exchanges may have begun tasks that nobody else came for.
	if waiting := b.State().WaitingCount(1); waiting > 64 {
		t.Errorf("%d tasks wait for a second attempt", waiting)
	}
	digest := b.State().Digest()
	dir := t.TempDir()
	s, err := b.Snapshot(dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.Entries == 0 || s.Reports == 0 || s.Longest <= 0 || s.Bytes < 10*live {
		t.Errorf("measured %+v", s)
	}
	check(t, b)
	f, err := os.Open(filepath.Join(dir, "snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	restored, err := state.Restore(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	if restored.StageOpen(1) == 0 || restored.StageOpen(1) > 2*live || b.State().Digest() == digest {
		t.Errorf("%d attempts are out in the snapshot, and nothing was reported meanwhile", restored.StageOpen(1))
	}
}

// A whole job is computed, to its last and smaller chunk.
func TestFinish(t *testing.T) {
	const tasks = 3*4096 + 100
	b := newBench(t, 8, tasks)
	if err := b.Finish(tasks, func(uint64) error { return nil }); err != nil {
		t.Fatal(err)
	}
	check(t, b)
	if j, _ := b.State().Job(1); j.State != state.JobDone || b.State().Sealed(1) != tasks {
		t.Errorf("the job is in state %d with %d tasks sealed, want %d", j.State, b.State().Sealed(1), tasks)
	}
}

func TestProgressEndsTheWork(t *testing.T) {
	enough := errors.New("enough")
	b := newBench(t, 4, 1_000_000)
	if err := b.Finish(100_000, func(uint64) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("Finish returned %v, want %v", err, enough)
	}
	if err := b.Hold(1000, func(uint64) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("Hold returned %v, want %v", err, enough)
	}
	if err := b.Hold(1_000_000, func(uint64) error { return nil }); err == nil {
		t.Error("four hosts held two million attempts")
	}
}
