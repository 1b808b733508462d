package consensus

import (
	"bufio"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/diskwatch"
	"github.com/sheafgrid/sheaf/task"
)

// fsm is the adapter between raft and the state machine.
type fsm struct {
	fatal    *diskwatch.Watch
	measures *Measures

	room state.CommandRoom // of the batch that is being applied

	mu      sync.RWMutex
	state   *state.State
	index   uint64 // of the last entry applied; 0 after a restore, whose index raft knows
	changed chan struct{}

	unsnapshotted int64 // bytes applied since the last snapshot

	taken digests // to be compared with other replicas'

	digests     sync.Mutex // one at a time; never taken under mu
	digestIndex uint64
	lastDigest  task.Digest
}

func newFSM(fatal *diskwatch.Watch, m *Measures) *fsm {
	return &fsm{fatal: fatal, measures: m, state: state.New(), changed: make(chan struct{})}
}

// Apply applies one entry.
func (f *fsm) Apply(l *raft.Log) any {
	return f.ApplyBatch([]*raft.Log{l})[0]
}

// ApplyBatch applies committed entries under one lock. An entry that cannot be
// decoded ends the node: from then on nothing is applied (R4).
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	began := time.Now()
	f.room.Clear()
	entries := make([]decoded, len(logs)) // before the lock: readers need not wait for that
	for i, l := range logs {
		if l.Type == raft.LogCommand {
			entries[i] = decode(l, &f.room)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, l := range logs {
		out[i] = f.applyOne(l, &entries[i])
	}
	close(f.changed)
	f.changed = make(chan struct{})
	f.measures.Apply.Since(began)
	f.measures.Entries.Add(uint64(len(logs)))
	return out
}

// decoded is what an entry of the log says.
type decoded struct {
	now      task.Millis
	commands []state.Command
	err      error
}

func decode(l *raft.Log, room *state.CommandRoom) (e decoded) {
	if e.now, e.commands, e.err = room.DecodeEntry(l.Data); e.err != nil {
		e.err = fmt.Errorf("entry %d of the log: %w", l.Index, e.err)
	}
	return e
}

// applyOne returns []state.Result, or an error once the node has failed.
func (f *fsm) applyOne(l *raft.Log, e *decoded) any {
	if err := f.fatal.Err(); err != nil {
		return err
	}
	f.index = l.Index
	if l.Type != raft.LogCommand {
		return nil
	}
	if e.err != nil {
		return f.fatal.Fail(e.err)
	}
	f.unsnapshotted += int64(len(l.Data))
	before := f.state.Cluster().Now
	results := f.state.Apply(e.now, e.commands)
	if crossed(before, f.state.Cluster().Now) {
		f.taken.take(l.Index, f.state)
	}
	return results
}

// Snapshot takes a copy without copying; Persist writes it while Apply goes on.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.fatal.Err(); err != nil {
		return nil, err
	}
	f.unsnapshotted = 0
	return &snapshot{frozen: f.state.Freeze(), measures: f.measures}, nil
}

// Restore replaces the state by a snapshot's. The old state stays until the
// new one is whole; a snapshot that cannot be read ends the node.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	s, err := state.Restore(bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return f.fatal.Fail(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state, f.index = s, 0
	f.unsnapshotted = 0
	close(f.changed)
	f.changed = make(chan struct{})
	return nil
}

func (f *fsm) view(fn func(*state.State)) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	fn(f.state)
}

// digest reads the state off to the side: Apply goes on meanwhile. One is
// computed at a time, and kept until the next entry, whoever asks.
func (f *fsm) digest() (uint64, task.Digest) {
	f.digests.Lock()
	defer f.digests.Unlock()
	f.mu.Lock()
	index := f.index
	if index != 0 && index == f.digestIndex {
		f.mu.Unlock()
		return index, f.lastDigest
	}
	frozen := f.state.Freeze()
	f.mu.Unlock()
	defer frozen.Release()
	f.digestIndex, f.lastDigest = index, frozen.Digest()
	return index, f.lastDigest
}

func (f *fsm) freeze() (uint64, *state.Frozen) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.index, f.state.Freeze()
}

// next is closed when the state has changed after this call.
func (f *fsm) next() <-chan struct{} {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.changed
}

func (f *fsm) bytesSinceSnapshot() int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.unsnapshotted
}

// snapshot is a frozen state on its way to the disk.
type snapshot struct {
	frozen   *state.Frozen
	measures *Measures
}

// Persist writes the snapshot. Cancel is for failures only: a snapshot that is
// cancelled after it was written would let raft drop the log it stands for.
func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	began, counted := time.Now(), &countingSink{SnapshotSink: sink}
	w := bufio.NewWriterSize(counted, 1<<20)
	_, err := s.frozen.Write(w)
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		_ = sink.Cancel() // the first error is the one to report
		return fmt.Errorf("snapshot %s: %w", sink.ID(), err)
	}
	err = sink.Close()
	if err == nil {
		s.measures.persisted(began, counted.bytes)
	}
	return err
}

// Release lets Apply change pages in place again.
func (s *snapshot) Release() { s.frozen.Release() }
