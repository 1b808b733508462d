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

	measures Measures

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
	n.fsm = newFSM(n.fatal, &n.measures)
	n.guard = newGuard(cfg.Stores, n.fatal, &n.measures)
	// The entries that followers ask for next; each may have 256 KiB.
	log, err := raft.NewLogCache(64, n.guard)
	if err != nil {
		return nil, fmt.Errorf("consensus: %w", err)
	}
	n.raft, err = raft.NewRaft(cfg.raft(), n.fsm, log, n.guard, n.guard, cfg.Stores.Transport)
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
	if e := n.noteReached(); e != nil && err == nil {
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

// Confirm asks a majority whether this node still leads, and returns nil if so:
// then whatever was acknowledged before the call is in its state. A process
// that was stopped for a while may take itself for the leader when another is.
func (n *Node) Confirm() error {
	if !n.Serving() {
		return ErrNotLeader
	}
	if err := n.raft.VerifyLeader().Error(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	return nil
}

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

// Freeze is a copy of the state here, made without copying, and the index of the
// last entry in it. The caller releases it, soon: until then changed pages are
// there twice.
func (n *Node) Freeze() (index uint64, frozen *state.Frozen) {
	restored := n.raft.AppliedIndex()
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
			voters[task.NodeID(s.ID)] = n.cfg.Stores.hostPort(s.Address)
		}
	}
	return voters, nil
}

// AddVoter makes a node a member. Only the leader can; it returns when the
// change is committed. A node that does not answer at the address is refused
// with ErrUnreachable: its vote would count from the start, and a cluster that
// has just lost a node could never decide anything again.
func (n *Node) AddVoter(ctx context.Context, node task.NodeID, address string) error {
	if !n.Serving() {
		return ErrNotLeader
	}
	if err := n.reach(ctx, node, address); err != nil {
		return err
	}
	f := n.raft.AddVoter(raft.ServerID(node), n.cfg.Stores.address(node, address), 0, timeLeft(ctx))
	if err := f.Error(); err != nil {
		return fmt.Errorf("adding node %s at %s: %w", node, address, leadershipError(err))
	}
	return nil
}

// answersWithin is how long a node that is to get a vote may take to answer.
const answersWithin = 3 * time.Second

// reach asks a node for a vote that changes nothing: the request is of no term.
func (n *Node) reach(ctx context.Context, node task.NodeID, address string) error {
	transport, ok := n.cfg.Stores.Transport.(raft.WithPreVote)
	if node == n.cfg.Node || !ok {
		return nil
	}
	to := n.cfg.Stores.address(node, address)
	local := n.cfg.Stores.Transport.LocalAddr()
	ask := &raft.RequestPreVoteRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.cfg.Node),
		Addr: n.cfg.Stores.Transport.EncodePeer(raft.ServerID(n.cfg.Node), local),
	}}
	answered := make(chan error, 1)
	go func() { // raft's transport gives up by itself, later
		answered <- transport.RequestPreVote(raft.ServerID(node), to, ask, &raft.RequestPreVoteResponse{})
	}()
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	var err error
	select {
	case err = <-answered:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%w: node %s at %s: %w", ErrUnreachable, node, address, err)
	}
	return nil
}

// RemoveServer takes a node's vote away for good. Only the leader can, and not
// its own; it returns when the change is committed. A node that has no vote is
// no error.
func (n *Node) RemoveServer(ctx context.Context, node task.NodeID) error {
	if node == n.cfg.Node {
		return fmt.Errorf("removing node %s: it leads the cluster", node)
	}
	if !n.Serving() {
		return ErrNotLeader
	}
	if err := n.raft.RemoveServer(raft.ServerID(node), 0, timeLeft(ctx)).Error(); err != nil {
		return fmt.Errorf("removing node %s: %w", node, leadershipError(err))
	}
	return nil
}

func timeLeft(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return time.Until(end)
	}
	return 0
}
