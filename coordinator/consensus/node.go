package consensus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/diskwatch"
	"github.com/sheafgrid/sheaf/task"
)

// Node is one member of the cluster, or about to be one.
type Node struct {
	cfg   Config
	fatal *diskwatch.Watch
	fsm   *fsm
	guard *guard
	raft  *raft.Raft
	queue *queue
	clock clock

	measures Measures
	answers  *answers
	verifier verifier

	serving atomic.Uint64 // the term in which it leads, once everything from before is applied; or 0
}

// Open starts raft on the node's stores. Run must be called next, and its end
// ends the node.
func Open(cfg Config) (*Node, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		start := time.Now()
		cfg.Now = func() int64 { return time.Since(start).Milliseconds() }
	}
	n := &Node{cfg: cfg, fatal: diskwatch.New(), queue: newQueue()}
	n.fsm = newFSM(n.fatal, &n.measures)
	n.answers = newAnswers(cfg.Stores.Transport)
	n.guard = newGuard(cfg.Stores, n.fatal, &n.measures)
	// The entries that followers ask for next; each may have 256 KiB.
	log, err := raft.NewLogCache(64, n.guard)
	if err != nil {
		return nil, fmt.Errorf("consensus: %w", err)
	}
	n.raft, err = raft.NewRaft(cfg.raft(), n.fsm, log, n.guard, &guardedSnapshots{cfg.Stores.Snapshots, n.guard}, n.answers)
	if first := n.fatal.Err(); first != nil {
		err = first // raft says only that no snapshot could be loaded
	}
	if err != nil {
		if n.raft != nil {
			n.raft.Shutdown()
		}
		return nil, fmt.Errorf("node %s: %w", cfg.Node, err)
	}
	return n, nil
}

// HasState reports whether the stores have belonged to a cluster before.
func (s Stores) HasState() (bool, error) {
	return raft.HasExistingState(s.Log, s.Stable, s.Snapshots)
}

// HasEntries reports whether the stores hold anything that was committed: an
// entry, or a snapshot in place of entries. A vote alone does not count.
func (s Stores) HasEntries() (bool, error) {
	last, err := s.Log.LastIndex()
	if err != nil || last > 0 {
		return last > 0, err
	}
	snapshots, err := s.Snapshots.List()
	return len(snapshots) > 0, err
}

// Bootstrap makes this node the only member of a new cluster, reached by its
// peers at an address. It is done once in the life of a cluster, before Run.
func (n *Node) Bootstrap(address string) error {
	servers := []raft.Server{{ID: raft.ServerID(n.cfg.Node), Address: n.cfg.Stores.address(n.cfg.Node, address)}}
	if err := n.raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
		return fmt.Errorf("node %s: bootstrap: %w", n.cfg.Node, err)
	}
	return nil
}

// endsWithin is how long a node that has failed may take to end in order. What
// waits for a disk that hangs would never end.
const endsWithin = 3 * time.Second

// Run keeps the node going until the context ends or the node fails. Where the
// disk hangs, goroutines may be left behind that wait for it: the process is to
// exit.
func (n *Node) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- n.run(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-n.fatal.Failed():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(endsWithin):
		return fmt.Errorf("node %s: %w", n.cfg.Node, n.fatal.Err())
	}
}

// Failed is closed when something has happened that must not be survived; Err
// says what. Run then returns soon.
func (n *Node) Failed() <-chan struct{} { return n.fatal.Failed() }

// Err is what must not be survived, or nil.
func (n *Node) Err() error { return n.fatal.Err() }

func (n *Node) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.propose(ctx) })
	g.Go(func() error { return n.followLeadership(ctx) })
	g.Go(func() error { return n.fatal.Run(ctx) })
	g.Go(func() error { return n.watch(ctx) })
	err := g.Wait()
	n.queue.close()
	if e := n.raft.Shutdown().Error(); e != nil && err == nil {
		err = e
	}
	n.fsm.taken.work.Wait()
	if e := n.noteReached(); e != nil && err == nil {
		err = e
	}
	for _, c := range n.cfg.Stores.Close {
		if e := c.Close(); e != nil && err == nil {
			err = e
		}
	}
	if first := n.fatal.Err(); first != nil {
		err = first
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("node %s: %w", n.cfg.Node, err)
}

// View calls fn with the state as of the last entry applied here, which may be
// behind the leader's. fn must only read, return soon, and keep nothing.
func (n *Node) View(fn func(*state.State)) { n.fsm.view(fn) }

// Changed is closed when the state has changed after this call.
func (n *Node) Changed() <-chan struct{} { return n.fsm.next() }

// Serving reports whether this node leads and has caught up, so that Propose
// works. It may be wrong by the time it returns.
func (n *Node) Serving() bool { return n.serving.Load() != 0 }

// Leader is the node that leads, as far as this one knows; "" if none does.
func (n *Node) Leader() task.NodeID {
	_, id := n.raft.LeaderWithID()
	return task.NodeID(id)
}

// Digest is the digest of the state here, and the index it belongs to. Apply
// goes on while it is computed.
func (n *Node) Digest() (index uint64, digest task.Digest) {
	restored := n.restoredIndex()
	if index, digest = n.fsm.digest(); index == 0 {
		index = restored
	}
	return index, digest
}

// restoredIndex is the last entry of the snapshot that the state began with; 0 without
// one. raft counts an entry as applied as soon as it is on its way here.
func (n *Node) restoredIndex() uint64 {
	index, _ := strconv.ParseUint(n.raft.Stats()["last_snapshot_index"], 10, 64)
	return index
}

// Freeze is a copy of the state here, made without copying, and the index of the
// last entry in it. The caller releases it, soon: until then changed pages are
// there twice.
func (n *Node) Freeze() (index uint64, frozen *state.Frozen) {
	restored := n.restoredIndex()
	if index, frozen = n.fsm.freeze(); index == 0 {
		index = restored
	}
	return index, frozen
}

// Status is how the node stands.
type Status struct {
	Node    task.NodeID
	Leader  task.NodeID
	Serving bool
	Term    uint64
	Last    uint64 // index of the last entry in its log
	Commit  uint64 // index of the last entry that it knows to be on a majority
	Applied uint64 // index of the last entry applied to its state
}

// Status reports how the node stands. It does not touch the disk.
func (n *Node) Status() Status {
	return Status{
		Node: n.cfg.Node, Leader: n.Leader(), Serving: n.Serving(),
		Term: n.raft.CurrentTerm(), Last: n.raft.LastIndex(), Commit: n.raft.CommitIndex(), Applied: n.raft.AppliedIndex(),
	}
}
