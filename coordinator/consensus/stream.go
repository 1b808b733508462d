package consensus

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/task"
)

// Port lets raft's peers in, and reaches them. Both sides have proved who they
// are before a byte of raft's is read: a node of another cluster, a stranger,
// and one that takes this node for the one that was at its address before are
// turned away.
type Port interface {
	// Raft is where peers come in.
	Raft() net.Listener
	// DialRaft connects to the node of a name, or to nobody.
	DialRaft(ctx context.Context, node task.NodeID, hostPort string) (net.Conn, error)
}

// Stream carries raft's messages over a Port.
type Stream struct {
	net.Listener
	port    Port
	address peerAddress
}

// NewStream makes a stream of a node's port. advertise is the address at which
// its peers reach it.
func NewStream(node task.NodeID, advertise string, port Port) (*Stream, error) {
	if _, err := net.ResolveTCPAddr("tcp", advertise); err != nil {
		return nil, fmt.Errorf("address for other coordinators %q: %w", advertise, err)
	}
	return &Stream{Listener: port.Raft(), port: port, address: peerAddress(namedAddress(node, advertise))}, nil
}

// Dial connects to the node that an address names.
func (s *Stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	node, hostPort, err := splitAddress(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.port.DialRaft(ctx, node, hostPort)
}

// Addr is where peers reach this node, with its name.
func (s *Stream) Addr() net.Addr { return s.address }
