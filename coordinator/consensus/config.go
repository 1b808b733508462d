package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/task"
)

// ErrNotLeader is returned by Propose on a node that does not lead, or has not
// caught up yet. Nothing was proposed.
var ErrNotLeader = errors.New("this node is not the leader")

// ErrUnknown is returned by Propose when leadership was lost on the way: the
// command may have been applied or not. Repeating the same numbered request,
// to any node, settles it.
var ErrUnknown = errors.New("leadership was lost; the command may or may not have been applied")

// ErrOverloaded is returned by Propose when the queue is full. Nothing was
// proposed.
var ErrOverloaded = errors.New("too many commands wait for the log")

// ErrUnreachable is returned by AddVoter when no node of that name answers at
// the address. Nothing was changed.
var ErrUnreachable = errors.New("the leader does not reach the node")

// Config describes one node.
type Config struct {
	Node   task.NodeID
	Stores Stores
	Timing Timing
	Logger *slog.Logger

	// Lead runs while this node leads. Its context ends when leadership does;
	// it must then return. Nil means nothing to do.
	Lead func(ctx context.Context) error

	// Trailing is how many entries stay behind a snapshot, for followers that are
	// a little slow: those further behind are sent the snapshot. 0 means 2048.
	Trailing uint64

	// Now reads the monotonic clock that a leader's cluster time runs by, in
	// milliseconds from any point. Nil means the process's own.
	Now func() int64
}

// Timing sets how soon a silent leader is replaced.
type Timing struct {
	Heartbeat time.Duration // a follower that hears nothing for so long starts an election
	Lease     time.Duration // a leader that reaches no majority for so long steps down
}

// TimingLAN suits nodes with less than a few milliseconds between them: in
// measurements a lost leader was replaced after 1.1 s (median).
func TimingLAN() Timing {
	return Timing{Heartbeat: 500 * time.Millisecond, Lease: 250 * time.Millisecond}
}

// TimingWAN suits nodes with up to 300 ms between them: an answer may be lost
// and come late twice before anybody doubts the leader. A lost leader is
// replaced after some 10 s.
func TimingWAN() Timing {
	return Timing{Heartbeat: 4 * time.Second, Lease: 2 * time.Second}
}

func (c *Config) validate() error {
	switch {
	case c.Node == "":
		return errors.New("consensus: the node has no name")
	case c.Stores.Log == nil || c.Stores.Stable == nil || c.Stores.Snapshots == nil || c.Stores.Transport == nil:
		return errors.New("consensus: a store is missing")
	case c.Timing.Heartbeat < 10*time.Millisecond || c.Timing.Lease > c.Timing.Heartbeat:
		return fmt.Errorf("consensus: heartbeat %s, lease %s: want at least 10 ms, and no longer lease than heartbeat", c.Timing.Heartbeat, c.Timing.Lease)
	case c.Logger == nil:
		return errors.New("consensus: no logger")
	}
	return nil
}

func (c *Config) raft() *raft.Config {
	r := raft.DefaultConfig()
	r.LocalID = raft.ServerID(c.Node)
	r.HeartbeatTimeout, r.ElectionTimeout, r.LeaderLeaseTimeout = c.Timing.Heartbeat, c.Timing.Heartbeat, c.Timing.Lease
	r.CommitTimeout = min(50*time.Millisecond, c.Timing.Heartbeat/10)
	r.MaxAppendEntries = 256
	r.BatchApplyCh = true
	r.ShutdownOnRemove = true
	// raft counts entries; ours hold up to 256 KiB. Snapshots are asked for by
	// bytes (snapshots.go), and few entries stay behind for slow followers.
	r.SnapshotThreshold = 1 << 40
	r.SnapshotInterval = time.Hour
	r.TrailingLogs = 2048
	if c.Trailing > 0 {
		r.TrailingLogs = c.Trailing
	}
	r.Logger = hclogTo(c.Logger)
	return r
}

// Stores are what a node keeps its log, votes and snapshots in, and what it
// talks to its peers through. OpenDir makes those of a real node; tests use
// raft's in-memory ones.
type Stores struct {
	Log       raft.LogStore
	Stable    raft.StableStore
	Snapshots raft.SnapshotStore
	Transport Transport
	Close     []io.Closer // closed, in order, when Run ends
	Dir       string      // where they are, for what an error says

	reached *reached // how far the log has been applied; nil where nothing is kept of that

	named bool // addresses carry the name of their node, as a Stream wants them
}

// Transport carries raft's messages. raft finds out by itself whether it can
// carry the second kind; every transport here can.
type Transport interface {
	raft.Transport
	raft.WithPreVote
}
