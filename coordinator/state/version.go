package state

import (
	"errors"
	"fmt"

	"github.com/sheafgrid/sheaf/protocol"
)

// ErrNewer is wrapped where a log or a snapshot needs a newer program than this
// one. Nothing is damaged, and nothing was skipped.
var ErrNewer = errors.New("it needs a newer version of sheaf than this one; install that, and start the node again")

// firstVersion is that of a cluster whose log has raised none.
const firstVersion uint16 = 1

// RaiseVersion lets the commands of the next version into the log: from here on,
// a program that does not know it can neither follow the log nor become a member.
// It is proposed once every member knows it, so that machines can be upgraded one
// by one, and back again until then.
type RaiseVersion struct {
	Version uint16 `msgpack:"v"`
}

// Version is the version of the cluster: commands that came with later ones are
// not in its log.
func (s *State) Version() uint16 { return max(s.cluster.Version, firstVersion) }

// Knows is the newest version that a member's program said it knows.
func (m *Member) Knows() uint16 { return max(m.Version, firstVersion) }

// Since is the version that a command came with.
func Since(c Command) uint16 {
	if _, v := nextCommand(c.kind()); v > 0 {
		return v
	}
	return firstVersion
}

// raiseVersion goes up one by one, and only as far as every member follows.
func (s *State) raiseVersion(c *RaiseVersion) Result {
	if c.Version != s.Version()+1 {
		return refused(protocol.Refuse(protocol.CodeConflict, "the cluster has version %d, which is not followed by %d", s.Version(), c.Version))
	}
	var behind *Member
	s.Members(func(m *Member) {
		if m.Knows() < c.Version {
			behind = m
		}
	})
	if behind != nil {
		return refused(protocol.Refuse(protocol.CodeConflict, "node %s knows version %d of the cluster, not %d", behind.Node, behind.Knows(), c.Version))
	}
	s.cluster.Version = c.Version
	return Result{}
}

// known refuses a command that raises the cluster beyond what this program knows.
func known(c Command) error {
	if r, ok := c.(*RaiseVersion); ok && r.Version > Newest {
		return fmt.Errorf("the cluster was raised to version %d, this program knows version %d: %w", r.Version, Newest, ErrNewer)
	}
	return nil
}
