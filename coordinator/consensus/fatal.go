package consensus

import (
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/internal/diskwatch"
)

// guard stands before the log, the votes and the snapshots: the first error of
// any of them ends the node, and so does a write that does not come back.
type guard struct {
	log    raft.LogStore
	stable raft.StableStore
	dir    string
	disk   *diskwatch.Watch

	measures *Measures
}

func newGuard(s Stores, disk *diskwatch.Watch, m *Measures) *guard {
	dir := s.Dir
	if dir == "" {
		dir = "memory"
	}
	return &guard{log: s.Log, stable: s.Stable, dir: dir, disk: disk, measures: m}
}

// write runs one write to the disk.
func (g *guard) write(what string, do func() error) error {
	if err := g.disk.Err(); err != nil {
		return err
	}
	op := g.disk.Begin(what, g.dir)
	err := do()
	op.End()
	if err != nil {
		return g.disk.Fail(fmt.Errorf("writing %s in %s: %w", what, g.dir, err))
	}
	return nil
}

func (g *guard) FirstIndex() (uint64, error) { return g.log.FirstIndex() }
func (g *guard) LastIndex() (uint64, error)  { return g.log.LastIndex() }

func (g *guard) GetLog(i uint64, l *raft.Log) error { return g.log.GetLog(i, l) }

func (g *guard) StoreLog(l *raft.Log) error {
	return g.StoreLogs([]*raft.Log{l})
}

func (g *guard) StoreLogs(l []*raft.Log) error {
	defer g.measures.wroteLog(time.Now(), l)
	return g.write("the log", func() error { return g.log.StoreLogs(l) })
}

func (g *guard) DeleteRange(from, to uint64) error {
	return g.write("the log", func() error { return g.log.DeleteRange(from, to) })
}

// IsMonotonic passes on what the store says of itself: raft treats a store
// that cannot have gaps differently after it installed a snapshot.
func (g *guard) IsMonotonic() bool {
	m, ok := g.log.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

func (g *guard) Set(k, v []byte) error {
	return g.write("the vote", func() error { return g.stable.Set(k, v) })
}

func (g *guard) SetUint64(k []byte, v uint64) error {
	return g.write("the vote", func() error { return g.stable.SetUint64(k, v) })
}

func (g *guard) Get(k []byte) ([]byte, error)       { return g.stable.Get(k) }
func (g *guard) GetUint64(k []byte) (uint64, error) { return g.stable.GetUint64(k) }

var (
	_ raft.LogStore          = (*guard)(nil)
	_ raft.StableStore       = (*guard)(nil)
	_ raft.MonotonicLogStore = (*guard)(nil)
)

// guardedSnapshots are snapshots whose writing is guarded.
type guardedSnapshots struct {
	raft.SnapshotStore
	guard *guard
}

// Create begins a snapshot.
func (s *guardedSnapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, cIndex uint64, t raft.Transport) (sink raft.SnapshotSink, err error) {
	err = s.guard.write("a snapshot", func() error {
		sink, err = s.SnapshotStore.Create(v, index, term, c, cIndex, t)
		return err
	})
	return &guardedSink{sink, s.guard}, err
}

type guardedSink struct {
	raft.SnapshotSink
	guard *guard
}

// Write writes a part of the snapshot.
func (s *guardedSink) Write(b []byte) (n int, err error) {
	err = s.guard.write("a snapshot", func() error {
		n, err = s.SnapshotSink.Write(b)
		return err
	})
	return n, err
}

// Close makes the snapshot whole and durable.
func (s *guardedSink) Close() error { return s.guard.write("a snapshot", s.SnapshotSink.Close) }
