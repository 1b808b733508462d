package state

import (
	"slices"
	"sort"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

func (s *State) initCluster(c *InitCluster) Result {
	if !s.cluster.ID.IsZero() {
		return refused(protocol.Refuse(protocol.CodeConflict, "the cluster was initialised before, as %s", s.cluster.ID))
	}
	s.cluster.ID, s.cluster.Secret, s.cluster.Operator = c.ID, c.Secret, c.Operator
	s.cluster.Anyone, s.cluster.Publishers = c.Anyone, sortedKeys(c.Publishers)
	s.newAccount(c.Operator, "operator")
	return Result{}
}

func (s *State) setMember(c *SetMember) Result {
	if why := s.mayBe(&c.Member); why != nil {
		return refused(why)
	}
	i, ok := s.index.members[c.Member.Node]
	if !ok {
		i = uint32(s.members.Append(Member{}))
		s.index.members[c.Member.Node] = i
	}
	*s.members.Edit(uint64(i)) = c.Member
	s.cluster.Changes++
	return Result{}
}

// operate carries out an operator's wish about the coordinators. A leadership
// is handed on by the leader, after the log has the wish; here it only gets its
// number.
func (s *State) operate(c *Operate) Answer {
	if c.Request.Key != s.cluster.Operator {
		return refusal(protocol.Refuse(protocol.CodeNotAllowed, "only the cluster's operator may change its members"))
	}
	if c.Action == protocol.ActionTransfer {
		return Answer{}
	}
	leaving := c.Action == protocol.ActionRemove
	i, ok := s.index.members[c.Node]
	if !ok {
		return refusal(protocol.Refuse(protocol.CodeInvalid, "no coordinator is called %s", c.Node))
	}
	switch m := s.members.At(uint64(i)); {
	case m.Removed && !leaving:
		return refusal(protocol.Refuse(protocol.CodeConflict, "node %s was removed; a new coordinator joins with an empty folder and a new --name", c.Node))
	case m.Removed || m.Leaving == leaving:
		return Answer{Existed: true}
	}
	s.members.Edit(uint64(i)).Leaving = leaving
	s.cluster.Changes++
	return Answer{}
}

// mayBe refuses what would give a name to a second node, bring a removed one
// back, or use a join token twice.
func (s *State) mayBe(m *Member) *protocol.Error {
	if old, ok := s.Member(m.Node); ok {
		switch {
		case old.Key != m.Key:
			return protocol.Refuse(protocol.CodeConflict, "another node is or was named %s, and a name belongs to one node for good; join under a new --name, or, if that node lost its data folder, with --replace %s, too", m.Node, m.Node)
		case old.Removed && !m.Removed:
			return protocol.Refuse(protocol.CodeConflict, "node %s was removed from the cluster; join with an empty folder and a new --name", m.Node)
		case m.Joining && !old.Joining:
			return protocol.Refuse(protocol.CodeConflict, "node %s has joined already; if it lost its data folder, join under a new --name with --replace %s", m.Node, m.Node)
		}
	}
	for i := uint64(1); i < s.members.Len() && m.Token != 0; i++ {
		if other := s.members.At(i); other.Token == m.Token && other.Node != m.Node {
			return protocol.Refuse(protocol.CodeConflict, "the join token was used already, by node %s; each lets one node join: make another one with sheaf operator token, and if you do not know that node, have it removed", other.Node)
		}
	}
	return nil
}

func (s *State) setPublishers(c *SetPublishers) Answer {
	if c.Request.Key != s.cluster.Operator {
		return refusal(protocol.Refuse(protocol.CodeNotAllowed, "only the cluster's operator may change who publishes"))
	}
	s.cluster.Anyone, s.cluster.Publishers = c.Anyone, sortedKeys(c.Listed)
	return Answer{}
}

func sortedKeys(keys []task.Key) []task.Key {
	sorted := slices.Clone(keys)
	sort.Slice(sorted, func(i, k int) bool { return string(sorted[i][:]) < string(sorted[k][:]) })
	return slices.Compact(sorted)
}

// mayPublish reports whether a key may make projects and submit jobs.
func (s *State) mayPublish(key task.Key) bool {
	return s.cluster.Anyone || key == s.cluster.Operator || slices.Contains(s.cluster.Publishers, key)
}
