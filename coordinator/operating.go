package coordinator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// operating is what an operator can see and do of the members, on the leader.
type operating struct{ a *assembly }

// JoinToken makes what one more coordinator joins with.
func (o operating) JoinToken(life time.Duration) (protocol.JoinTokenView, error) {
	return o.a.parts.Identity.invitation(o.a.parts.Wall(), life)
}

// Members asks every member how it stands.
func (o operating) Members(ctx context.Context) (protocol.MembersView, error) {
	a := o.a
	servers, err := a.node.Servers()
	if err != nil {
		return protocol.MembersView{}, err
	}
	st := a.Status()
	v := protocol.MembersView{Cluster: a.parts.Identity.Cluster, Leader: st.Leader, Term: st.Term, Members: []protocol.MemberView{}}
	members := a.allMembers()
	id := &a.parts.Identity
	if !slices.ContainsFunc(members, func(m state.Member) bool { return m.Node == id.Node }) {
		members = append(members, state.Member{Node: id.Node, URL: id.URL, Raft: id.Raft}) // the state has it in a moment
	}
	all := a.askAll(ctx, members)
	for i, q := range all {
		m := a.memberView(q, servers, st)
		m.Digest, m.DigestIndex = digestOf(all, i)
		v.Members = append(v.Members, m)
	}
	v.Reasons = ill(v.Members, st)
	v.OK = len(v.Reasons) == 0
	return v, nil
}

func (a *assembly) memberView(q asked, servers map[task.NodeID]consensus.Server, st consensus.Status) protocol.MemberView {
	m, s := q.member, q.standing
	v := protocol.MemberView{
		Node: m.Node, URL: m.URL, Raft: m.Raft, Role: protocol.RoleVoter, Leader: m.Node == st.Leader, Reached: q.err == nil,
		LastContact: s.LastContact, Applied: s.Applied, LogBytes: s.LogBytes, DiskFree: s.DiskFree,
		Waits: a.members.waitsFor(m.Node), Replaces: m.Replaces,
	}
	switch {
	case m.Leaving:
		v.Role = protocol.RoleLeaving
	case m.Joining || !servers[m.Node].Voter:
		v.Role, v.Copied, v.CopiedBytes = protocol.RoleJoining, s.Copied, s.CopiedBytes
	}
	if q.err != nil {
		v.Why, v.LastContact, v.DiskFree = q.err.Error(), -1, -1
	} else if s.Applied < st.Applied {
		v.Behind = st.Applied - s.Applied
	}
	return v
}

// digestOf says how one member's state compares with the others'.
func digestOf(all []asked, i int) (string, uint64) {
	var others [][]consensus.DigestAt
	for k, q := range all {
		if k != i {
			others = append(others, q.standing.Digests)
		}
	}
	c := compareDigests(all[i].standing.Digests, others)
	switch {
	case c.index == 0:
		return protocol.DigestUnknown, 0
	case c.other > c.equal:
		return protocol.DigestDiffers, c.index
	}
	return protocol.DigestEqual, c.index
}

// Bounds within which a member is well.
const (
	fewFree   = 2 << 30 // bytes free on its disk
	farBehind = 100_000 // entries
)

// ill says what is wrong with the members: each reason is a sentence that says
// what to do.
func ill(members []protocol.MemberView, st consensus.Status) (reasons []string) {
	say := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	voters, answer := 0, 0
	for _, m := range members {
		if m.Role != protocol.RoleJoining {
			voters++
			if m.Reached {
				answer++
			}
		}
		switch {
		case !m.Reached:
			say("%s does not answer (%s); start it again, or, if it is lost for good, start another one with --replace %s", m.Node, m.Why, m.Node)
		case m.Digest == protocol.DigestDiffers:
			say("the state of %s differs from the others' after entry %d; it ends by itself, or keep its data folder and replace it", m.Node, m.DigestIndex)
		case m.Behind > farBehind:
			say("%s is %d entries behind; see whether its disk or its network is slow", m.Node, m.Behind)
		case m.DiskFree >= 0 && m.DiskFree < fewFree:
			say("the disk of %s has %d MiB left; make room", m.Node, m.DiskFree>>20)
		}
	}
	if st.Leader == "" {
		say("nobody leads: of %d coordinators with a vote %d answer %s, and it takes %d to choose a leader", voters, answer, st.Node, voters/2+1)
	}
	switch {
	case voters == 1:
		say("there is one coordinator with a vote; if its disk is lost, everything is: add two more")
	case voters == 2:
		say("there are two coordinators with a vote, and neither can be missed: add one more")
	case voters%2 == 0:
		say("there are %d coordinators with a vote, which bear no more losses than %d would; add one, or remove one", voters, voters-1)
	}
	if need := voters/2 + 1; answer == need && voters > 2 {
		say("%d of %d coordinators answer; the next loss stops the cluster", answer, voters)
	}
	return reasons
}

// CheckRemoval refuses the removal of a member that the cluster cannot do
// without. Whether its blobs are elsewhere is seen to before it goes.
func (o operating) CheckRemoval(ctx context.Context, node task.NodeID) error {
	var m state.Member
	var found bool
	o.a.node.View(func(s *state.State) {
		if p, ok := s.Member(node); ok {
			m, found = *p, true
		}
	})
	if !found {
		return protocol.Refuse(protocol.CodeInvalid, "no coordinator is called %s; sheaf operator members lists them", node)
	}
	if m.Removed || m.Joining {
		return nil
	}
	if err := o.a.checkQuorum(ctx, node, 0); err != nil {
		return protocol.Refuse(protocol.CodeConflict, "node %s cannot be removed now: %v", node, err)
	}
	return nil
}

// Changed makes the leader look at the members at once.
func (o operating) Changed() { o.a.members.again() }

// CheckTransfer refuses to hand the leadership to whom cannot have it.
func (o operating) CheckTransfer(ctx context.Context, to task.NodeID) error {
	voters, err := o.a.node.Voters()
	if err != nil {
		return err
	}
	if _, ok := voters[to]; to != "" && !ok {
		names := slices.Sorted(maps.Keys(voters))
		return protocol.Refuse(protocol.CodeInvalid, "node %s has no vote, and cannot lead; those that can are %s", to, joinNames(names))
	}
	if len(voters) == 1 {
		return protocol.Refuse(protocol.CodeConflict, "there is no other coordinator that could lead")
	}
	if m := o.a.memberLeft(to); m != nil {
		if _, err := o.a.standingOf(ctx, *m); err != nil {
			return protocol.Refuse(protocol.CodeConflict, "node %s does not answer the leader, and cannot lead now: %v", to, err)
		}
	}
	return nil
}

// Transfer hands the leadership on. It goes to whom it is with already by
// staying there.
func (o operating) Transfer(to task.NodeID) error {
	if to == o.a.parts.Identity.Node {
		return nil
	}
	return o.a.node.Transfer(to)
}

func joinNames(names []task.NodeID) string {
	text := make([]string, len(names))
	for i, n := range names {
		text[i] = string(n)
	}
	return strings.Join(text, ", ")
}
