package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// Node is one member of the cluster, or about to be one.
type Node struct {
	cfg   Config
	fatal *latch
	fsm   *fsm
	guard *guard
	raft  *raft.Raft
	queue *queue
	clock clock

	serving atomic.Bool // it leads and has applied everything from before
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
	n := &Node{cfg: cfg, fatal: newLatch(), queue: newQueue()}
	n.fsm = newFSM(n.fatal)
	n.guard = newGuard(cfg.Stores, n.fatal)
	log, err := raft.NewLogCache(512, n.guard)
	if err != nil {
		return nil, fmt.Errorf("consensus: %w", err)
	}
	n.raft, err = raft.NewRaft(cfg.raft(), n.fsm, log, n.guard, cfg.Stores.Snapshots, cfg.Stores.Transport)
	if first := n.fatal.err(); first != nil {
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

// Bootstrap makes this node the only member of a new cluster, reached by its
// peers at an address. It is done once in the life of a cluster, before Run.
func (n *Node) Bootstrap(address string) error {
	servers := []raft.Server{{ID: raft.ServerID(n.cfg.Node), Address: raft.ServerAddress(address)}}
	if err := n.raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
		return fmt.Errorf("node %s: bootstrap: %w", n.cfg.Node, err)
	}
	return nil
}

// Run keeps the node going until the context ends or the node fails.
func (n *Node) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.propose(ctx) })
	g.Go(func() error { return n.followLeadership(ctx) })
	g.Go(func() error { return n.watch(ctx) })
	err := g.Wait()
	n.queue.close()
	if e := n.raft.Shutdown().Error(); e != nil && err == nil {
		err = e
	}
	for _, c := range n.cfg.Stores.Close {
		if e := c.Close(); e != nil && err == nil {
			err = e
		}
	}
	if first := n.fatal.err(); first != nil {
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
func (n *Node) Serving() bool { return n.serving.Load() }

// Leader is the node that leads, as far as this one knows; "" if none does.
func (n *Node) Leader() task.NodeID {
	_, id := n.raft.LeaderWithID()
	return task.NodeID(id)
}

// Digest is the digest of the state here, and the index it belongs to. Apply
// goes on while it is computed.
func (n *Node) Digest() (index uint64, digest task.Digest) {
	restored := n.raft.AppliedIndex()
	if index, digest = n.fsm.digest(); index == 0 {
		index = restored
	}
	return index, digest
}

// Status is how the node stands.
type Status struct {
	Node    task.NodeID
	Leader  task.NodeID
	Serving bool
	Term    uint64
	Last    uint64 // index of the last entry in its log
	Applied uint64 // index of the last entry applied to its state
}

// Status reports how the node stands. It does not touch the disk.
func (n *Node) Status() Status {
	return Status{
		Node: n.cfg.Node, Leader: n.Leader(), Serving: n.Serving(),
		Term: n.raft.CurrentTerm(), Last: n.raft.LastIndex(), Applied: n.raft.AppliedIndex(),
	}
}

// Voters are the members whose votes count, with the addresses at which their
// peers reach them.
func (n *Node) Voters() (map[task.NodeID]string, error) {
	f := n.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, fmt.Errorf("node %s: members: %w", n.cfg.Node, err)
	}
	voters := map[task.NodeID]string{}
	for _, s := range f.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters[task.NodeID(s.ID)] = string(s.Address)
		}
	}
	return voters, nil
}

// AddVoter makes a node a member. Only the leader can; it returns when the
// change is committed.
func (n *Node) AddVoter(ctx context.Context, node task.NodeID, address string) error {
	if !n.Serving() {
		return ErrNotLeader
	}
	f := n.raft.AddVoter(raft.ServerID(node), raft.ServerAddress(address), 0, timeLeft(ctx))
	if err := f.Error(); err != nil {
		return fmt.Errorf("adding node %s at %s: %w", node, address, leadershipError(err))
	}
	return nil
}

func timeLeft(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return time.Until(end)
	}
	return 0
}
