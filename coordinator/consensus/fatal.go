package consensus

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// latch keeps the first error that ends a node. Once it is set, the log and
// the state take nothing more: an fsync that failed once may seem to succeed
// when it is tried again, and the bytes be lost all the same.
type latch struct {
	mu    sync.Mutex
	first error
	done  chan struct{}
}

func newLatch() *latch { return &latch{done: make(chan struct{})} }

// set records an error, unless there is one, and returns the one that counts.
func (l *latch) set(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil {
		l.first = err
		close(l.done)
	}
	return l.first
}

func (l *latch) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

// failed is closed when an error has been set.
func (l *latch) failed() <-chan struct{} { return l.done }

// diskHangs is how long one write may take before the disk counts as broken.
const diskHangs = 10 * time.Second

// guard stands before the log, the votes and the snapshots: the first error of
// any of them ends the node, and so does a write of the log or a vote that does
// not come back.
type guard struct {
	log    raft.LogStore
	stable raft.StableStore
	kept   raft.SnapshotStore
	fatal  *latch

	measures *Measures

	mu      sync.Mutex
	writing map[*time.Time]string // begun and not finished, with what is written
}

func newGuard(s Stores, fatal *latch, m *Measures) *guard {
	return &guard{measures: m, log: s.Log, stable: s.Stable, kept: s.Snapshots, fatal: fatal, writing: map[*time.Time]string{}}
}

// write runs one write to the disk.
func (g *guard) write(what string, do func() error) error {
	if err := g.fatal.err(); err != nil {
		return err
	}
	began := time.Now()
	g.mu.Lock()
	g.writing[&began] = what
	g.mu.Unlock()
	err := do()
	g.mu.Lock()
	delete(g.writing, &began)
	g.mu.Unlock()
	if err != nil {
		return g.fatal.set(fmt.Errorf("writing %s: %w", what, err))
	}
	return nil
}

// hung reports a write that has been going on for too long.
func (g *guard) hung(now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for began, what := range g.writing {
		if d := now.Sub(*began); d > diskHangs {
			return fmt.Errorf("writing %s has not come back for %s: the disk hangs", what, d.Round(time.Second))
		}
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

// Create begins a snapshot.
func (g *guard) Create(v raft.SnapshotVersion, index, term uint64, members raft.Configuration, membersIndex uint64, t raft.Transport) (raft.SnapshotSink, error) {
	k, err := g.kept.Create(v, index, term, members, membersIndex, t)
	if err != nil {
		return nil, g.fatal.set(fmt.Errorf("writing a snapshot: %w", err))
	}
	return &guardedSink{k, g.fatal}, nil
}

// List describes the snapshots.
func (g *guard) List() ([]*raft.SnapshotMeta, error) { return g.kept.List() }

// Open reads a snapshot.
func (g *guard) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) { return g.kept.Open(id) }

// guardedSink is a snapshot being written, of this node or one that another
// sends. Its last sync may take long: it is no sign of a disk that hangs.
// Giving it up is no error.
type guardedSink struct {
	raft.SnapshotSink
	fatal *latch
}

// Write adds bytes.
func (k *guardedSink) Write(b []byte) (int, error) {
	n, err := k.SnapshotSink.Write(b)
	return n, k.check(err)
}

// Close finishes the snapshot.
func (k *guardedSink) Close() error { return k.check(k.SnapshotSink.Close()) }

func (k *guardedSink) check(err error) error {
	if err == nil {
		return nil
	}
	return k.fatal.set(fmt.Errorf("writing a snapshot: %w", err))
}

var (
	_ raft.SnapshotStore     = (*guard)(nil)
	_ raft.LogStore          = (*guard)(nil)
	_ raft.StableStore       = (*guard)(nil)
	_ raft.MonotonicLogStore = (*guard)(nil)
)
