package consensus

import (
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/internal/metrics"
)

// Measures counts what a node does, for whoever watches it. It is read and
// written by many goroutines at once.
type Measures struct {
	Propose  metrics.Durations // one command, from Propose until it is applied here
	Apply    metrics.Durations // entries that were committed together
	LogWrite metrics.Durations // one write of entries to the log, synced
	Persist  metrics.Durations // one snapshot, written and synced

	Commands metrics.Counter // that were proposed here
	Entries  metrics.Counter // applied
	LogBytes metrics.Counter // written to the log
	Terms    metrics.Counter // in which this node led

	snapshotAt    atomic.Int64 // Unix seconds of the last snapshot; 0: none since the start
	snapshotBytes atomic.Int64
}

// Snapshot is when the last snapshot was written since the start, and how large
// it was; at is zero where there was none.
func (m *Measures) Snapshot() (at time.Time, bytes int64) {
	if s := m.snapshotAt.Load(); s != 0 {
		at = time.Unix(s, 0)
	}
	return at, m.snapshotBytes.Load()
}

// wroteLog counts one write to the log.
func (m *Measures) wroteLog(began time.Time, entries []*raft.Log) {
	m.LogWrite.Since(began)
	bytes := 0
	for _, l := range entries {
		bytes += len(l.Data)
	}
	m.LogBytes.Add(uint64(bytes))
}

// persisted counts a snapshot.
func (m *Measures) persisted(began time.Time, bytes int64) {
	m.Persist.Since(began)
	m.snapshotAt.Store(time.Now().Unix())
	m.snapshotBytes.Store(bytes)
}

// countingSink counts what is written to a snapshot.
type countingSink struct {
	raft.SnapshotSink
	bytes int64
}

// Write writes on.
func (s *countingSink) Write(b []byte) (int, error) {
	n, err := s.SnapshotSink.Write(b)
	s.bytes += int64(n)
	return n, err
}

// BytesSinceSnapshot is how many bytes of entries were applied since the last
// snapshot.
func (n *Node) BytesSinceSnapshot() int64 { return n.fsm.bytesSinceSnapshot() }

// Measures is what the node has counted since it was opened.
func (n *Node) Measures() *Measures { return &n.measures }
