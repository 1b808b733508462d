package consensus

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/task"
)

// Server is a node that follows the log.
type Server struct {
	Address string // where its peers reach it
	Voter   bool
}

// Servers are the nodes that follow the log, as far as this one knows.
func (n *Node) Servers() (map[task.NodeID]Server, error) {
	f := n.raft.GetConfiguration()
	if err := f.Error(); err != nil {
		return nil, fmt.Errorf("node %s: members: %w", n.cfg.Node, err)
	}
	servers := map[task.NodeID]Server{}
	for _, s := range f.Configuration().Servers {
		servers[task.NodeID(s.ID)] = Server{Address: n.cfg.Stores.hostPort(s.Address), Voter: s.Suffrage == raft.Voter}
	}
	return servers, nil
}

// Voters are the members whose votes count, with the addresses at which their
// peers reach them.
func (n *Node) Voters() (map[task.NodeID]string, error) {
	servers, err := n.Servers()
	if err != nil {
		return nil, err
	}
	voters := map[task.NodeID]string{}
	for node, s := range servers {
		if s.Voter {
			voters[node] = s.Address
		}
	}
	return voters, nil
}

// AddVoter makes a node a member. Only the leader can; it returns when the
// change is committed. A node that does not answer at the address is refused
// with ErrUnreachable: its vote would count from the start, and a cluster that
// has just lost a node could never decide anything again.
func (n *Node) AddVoter(ctx context.Context, node task.NodeID, address string) error {
	return n.add(ctx, node, address, n.raft.AddVoter)
}

// AddNonvoter lets a node follow the log without a vote; one that has a vote
// keeps it, and gets the address. Only the leader can.
func (n *Node) AddNonvoter(ctx context.Context, node task.NodeID, address string) error {
	return n.add(ctx, node, address, n.raft.AddNonvoter)
}

type adding func(raft.ServerID, raft.ServerAddress, uint64, time.Duration) raft.IndexFuture

func (n *Node) add(ctx context.Context, node task.NodeID, address string, add adding) error {
	if !n.Serving() {
		return ErrNotLeader
	}
	if err := n.reach(ctx, node, address); err != nil {
		return err
	}
	f := add(raft.ServerID(node), n.cfg.Stores.address(node, address), 0, timeLeft(ctx))
	if err := f.Error(); err != nil {
		return fmt.Errorf("adding node %s at %s: %w", node, address, leadershipError(err))
	}
	return nil
}

// answersWithin is how long a node that is to get a vote may take to answer.
const answersWithin = 3 * time.Second

// reach asks a node for a vote that changes nothing: the request is of no term.
func (n *Node) reach(ctx context.Context, node task.NodeID, address string) error {
	transport := n.cfg.Stores.Transport
	if node == n.cfg.Node {
		return nil
	}
	to := n.cfg.Stores.address(node, address)
	local := transport.LocalAddr()
	ask := &raft.RequestPreVoteRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.cfg.Node),
		Addr: transport.EncodePeer(raft.ServerID(n.cfg.Node), local),
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

// Transfer hands the leadership to a voter, or, if none is named, to the one
// that has most of the log. It returns when this node leads no more, or with an
// error when it goes on leading.
func (n *Node) Transfer(to task.NodeID) error {
	if !n.Serving() {
		return ErrNotLeader
	}
	if to == "" {
		if err := n.raft.LeadershipTransfer().Error(); err != nil {
			return fmt.Errorf("handing the leadership on: %w", err)
		}
		return nil
	}
	servers, err := n.Servers()
	if err != nil {
		return err
	}
	s := servers[to]
	if !s.Voter {
		return fmt.Errorf("node %s has no vote, and cannot lead", to)
	}
	if err := n.raft.LeadershipTransferToServer(raft.ServerID(to), n.cfg.Stores.address(to, s.Address)).Error(); err != nil {
		return fmt.Errorf("handing the leadership to node %s: %w", to, err)
	}
	return nil
}

// LastContact is how long ago this node heard of its leader: 0 on the leader,
// and negative where it never did.
func (n *Node) LastContact() time.Duration {
	if n.Serving() {
		return 0
	}
	at := n.raft.LastContact()
	if at.IsZero() {
		return -1
	}
	return time.Since(at)
}

func timeLeft(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return time.Until(end)
	}
	return 0
}
