package consensus

import (
	"fmt"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/task"
)

// An address in raft's configuration is "n3@host:port": a message is meant for
// the node of that name, not for whoever listens there now. An empty node at
// the address of a dead one must not vote in its place, or a majority could
// consist of nodes that never saw what was committed. Outside of this package
// addresses are plain.

// address is how raft knows the address of a node.
func (s Stores) address(node task.NodeID, hostPort string) raft.ServerAddress {
	if !s.named {
		return raft.ServerAddress(hostPort)
	}
	return namedAddress(node, hostPort)
}

// hostPort is the plain address that raft knows a node by.
func (s Stores) hostPort(address raft.ServerAddress) string {
	if _, hostPort, err := splitAddress(address); s.named && err == nil {
		return hostPort
	}
	return string(address)
}

func namedAddress(node task.NodeID, hostPort string) raft.ServerAddress {
	return raft.ServerAddress(string(node) + "@" + hostPort)
}

// splitAddress takes apart what namedAddress made. No name of a node contains
// an at sign.
func splitAddress(address raft.ServerAddress) (node task.NodeID, hostPort string, err error) {
	name, hostPort, ok := strings.Cut(string(address), "@")
	if !ok || name == "" || hostPort == "" {
		return "", "", fmt.Errorf("address %q: want NODE@HOST:PORT", address)
	}
	return task.NodeID(name), hostPort, nil
}

// peerAddress is a named address as a net.Addr.
type peerAddress raft.ServerAddress

// Network is that of raft's connections.
func (peerAddress) Network() string { return "tcp" }

// String is the address as raft's configuration has it.
func (a peerAddress) String() string { return string(a) }
