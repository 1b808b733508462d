package coordinator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// refusal is why a node is not admitted, in words that say what to do about it.
type refusal struct {
	text string
	stop bool // the node must not run
}

func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error {
	return &refusal{text: fmt.Sprintf(format, args...)}
}

// serveAdmit answers the third step: the leader lets the node follow the log, or
// says what its vote waits for.
func (a *assembly) serveAdmit(w http.ResponseWriter, r *http.Request) {
	var q joinRequest
	if !readJoin(w, r, &q) {
		return
	}
	caller, _ := peers.CallerOf(r.Context())
	if _, err := a.known(caller); !q.Passed || err != nil { // no member passes it on: it must be the node's own
		if caller.Node == "" || caller.Node != q.Node {
			answerJoin(w, http.StatusForbidden, joinAnswer{Error: "a node is admitted that proves to have the name that it asks for", Refused: true})
			return
		}
		q.Key, q.Passed = caller.Key, false
	}
	if !a.node.Serving() {
		a.passOn(w, r.Context(), pathAdmit, q)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 8*time.Second)
	defer cancel()
	waits, err := a.admit(ctx, q)
	if err != nil {
		answerRefusal(w, err)
		return
	}
	answerJoin(w, http.StatusOK, joinAnswer{Cluster: a.parts.Identity.Cluster, Done: waits == "", Waits: waits})
}

// letIn notes in the log that a node joins, with its key and the token, before
// it is given anything. Doing so again changes nothing.
func (a *assembly) letIn(ctx context.Context, q joinRequest, token uint64) error {
	servers, err := a.node.Servers()
	if err != nil {
		return err
	}
	var why error
	a.node.View(func(s *state.State) { why = conflict(s, q, servers) })
	if why != nil {
		return why
	}
	m := state.Member{Node: q.Node, URL: q.URL, Raft: q.Raft, Version: q.Version, Key: q.Key, Token: token, Joining: true, Replaces: q.Replaces}
	if before := a.memberLeft(q.Node); before != nil {
		m.Leaving = before.Leaving
		if *before == m {
			return nil
		}
	}
	return a.setMember(ctx, m)
}

// admit lets a node follow the log, and notes that it joins, or where a member
// is found now. It says what the node's vote waits for, or "" once it has it. It
// may end half done, and is then asked for again.
func (a *assembly) admit(ctx context.Context, q joinRequest) (waits string, err error) {
	select { // one at a time: each looks at what the others hold
	case a.admitting <- struct{}{}:
		defer func() { <-a.admitting }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	member := state.Member{Node: q.Node, URL: q.URL, Raft: q.Raft, Version: q.Version, Key: q.Key}
	before := a.memberLeft(q.Node)
	servers, err := a.node.Servers()
	if err != nil {
		return "", err
	}
	var why error
	a.node.View(func(s *state.State) { why = conflict(s, q, servers) })
	if why == nil {
		why = a.checkKnown(q, before)
	}
	if why == nil {
		why = a.checkAlone(ctx, q, before)
	}
	if why != nil {
		return "", why
	}
	if before != nil {
		member.Token = before.Token
		member.Joining, member.Leaving, member.Replaces = before.Joining, before.Leaving, before.Replaces
	}
	if s, ok := servers[q.Node]; !ok || s.Address != q.Raft {
		add := a.node.AddNonvoter
		if s.Voter {
			add = a.node.AddVoter // it keeps its vote at its new address
		}
		err := add(ctx, q.Node, q.Raft)
		if errors.Is(err, consensus.ErrUnreachable) {
			return "", refuse("%v; see that --raft names an address at which all coordinators reach it, and that no firewall is between", err)
		}
		if err != nil {
			return "", err
		}
	}
	if !servers[q.Node].Voter {
		member.Joining, member.Replaces = true, q.Replaces
	}
	if before == nil || *before != member {
		if err := a.setMember(ctx, member); err != nil {
			return "", err
		}
	}
	if member.Joining {
		a.members.ready(q.Node, q.Copied)
		waits = a.joiningWaits(q)
		if !q.Copied {
			a.members.note(q.Node, errors.New(waits))
		}
		return waits, nil
	}
	return a.replaceLater(ctx, q.Replaces)
}

// joiningWaits says what a member that joins waits for.
func (a *assembly) joiningWaits(q joinRequest) string {
	switch {
	case q.Trouble != "":
		return "it cannot copy what the members have: " + q.Trouble
	case !q.Copied:
		return "it copies what the members have"
	}
	if why := a.members.waitsFor(q.Node); why != "" {
		return why
	}
	return "the leader makes sure that enough is copied"
}

// replaceLater lets a member that has its vote already take the place of a lost
// one: that is removed.
func (a *assembly) replaceLater(ctx context.Context, lost task.NodeID) (waits string, err error) {
	member := a.memberLeft(lost)
	if member == nil {
		return "", nil
	}
	if !member.Leaving {
		member.Leaving = true
		if err := a.setMember(ctx, *member); err != nil {
			return "", err
		}
		a.members.wake()
	}
	if why := a.members.waitsFor(lost); why != "" {
		return why, nil
	}
	return fmt.Sprintf("node %s is being removed", lost), nil
}

func (a *assembly) setMember(ctx context.Context, m state.Member) error {
	r, err := a.node.Propose(ctx, &state.SetMember{Member: m})
	if err != nil {
		return err
	}
	if e := r.Answer.Error; e != nil {
		return &refusal{text: e.Text}
	}
	return nil
}

// checkKnown refuses a node that did not join, and one that has another key
// than the node that did. The first node of a cluster admits itself.
func (a *assembly) checkKnown(q joinRequest, before *state.Member) error {
	switch {
	case before == nil && q.Node != a.parts.Identity.Node:
		return &refusal{stop: true, text: fmt.Sprintf("node %s has a certificate of this cluster and did not join it; start it with an empty folder, a new --name, --join and --token", q.Node)}
	case before != nil && before.Key != q.Key:
		return &refusal{stop: true, text: fmt.Sprintf("the cluster knows node %s by another key; start with an empty folder, a new --name and --replace %s", q.Node, q.Node)}
	}
	return nil
}

// conflict refuses what cannot become true beside what the state says. A node
// that was let in and never came does not hold its addresses.
func conflict(s *state.State, q joinRequest, servers map[task.NodeID]consensus.Server) (why error) {
	if knows := max(q.Version, 1); knows < s.Version() {
		return &refusal{stop: true, text: fmt.Sprintf("the cluster has version %d, and the program of node %s knows version %d; install a newer sheaf there", s.Version(), q.Node, knows)}
	}
	if m, ok := s.Member(q.Node); ok && m.Removed {
		return &refusal{stop: true, text: fmt.Sprintf("node %s was removed from the cluster, and another took its place; join with an empty folder and a new --name", q.Node)}
	}
	if q.Replaces == q.Node && q.Node != "" {
		return refuse("node %s cannot take its own place; join with an empty folder and a new --name, and --replace %s", q.Node, q.Node)
	}
	if _, ok := s.Member(q.Replaces); q.Replaces != "" && !ok {
		return refuse("--replace %s: no member of the cluster has that name; the status page lists them", q.Replaces)
	}
	s.Members(func(m *state.Member) {
		if _, came := servers[m.Node]; why != nil || m.Node == q.Node || m.Node == q.Replaces || m.Joining && !came {
			return
		}
		address, flag := "", ""
		if base(q.URL) == base(m.URL) {
			address, flag = q.URL, "--listen or --advertise"
		} else if q.Raft == m.Raft {
			address, flag = q.Raft, "--raft"
		}
		if address != "" {
			why = refuse("address %s is that of node %s; choose another one with %s, or, if that node is lost for good, join with --replace %s", address, m.Node, flag, m.Node)
		}
	})
	return why
}

// base is a URL without the fingerprint, to compare it.
func base(url string) string {
	a, err := protocol.ParseAddress(url)
	if err != nil {
		return url
	}
	return a.Base
}

// checkAlone refuses a node that runs twice, and one that takes the place of a
// node that runs.
func (a *assembly) checkAlone(ctx context.Context, q joinRequest, before *state.Member) error {
	if before != nil && (before.URL != q.URL || before.Raft != q.Raft) {
		if i := a.whoIs(ctx, q.Node, before.Raft); i.Node == q.Node && i.Instance != q.Instance {
			return &refusal{stop: true, text: fmt.Sprintf("node %s still runs at %s; a copied data folder must not run: remove it and join under a new --name", q.Node, before.URL)}
		}
	}
	lost := a.memberLeft(q.Replaces)
	if lost == nil {
		return nil
	}
	if lost.Node == a.parts.Identity.Node {
		return refuse("--replace %s: that node runs, and leads the cluster; stop it first, for good", lost.Node)
	}
	if i := a.whoIs(ctx, lost.Node, lost.Raft); i.Node == lost.Node {
		return refuse("--replace %s: that node still runs at %s; stop it first, for good", lost.Node, lost.URL)
	}
	return nil
}

// memberLeft is a copy of what the state says of a member, or nil if there is
// none of that name, or it was removed.
func (a *assembly) memberLeft(node task.NodeID) (found *state.Member) {
	a.node.View(func(s *state.State) {
		if m, ok := s.Member(node); ok && !m.Removed {
			copied := *m
			found = &copied
		}
	})
	return found
}

// passOn sends a node's wish on to the leader.
func (a *assembly) passOn(w http.ResponseWriter, ctx context.Context, path string, q joinRequest) {
	leader := a.node.Leader()
	if a.addressOf(leader) == "" || q.Passed {
		answerJoin(w, http.StatusServiceUnavailable, joinAnswer{Error: "the cluster is choosing a leader"})
		return
	}
	q.Passed = true
	answer, err := ask(ctx, a.parts.Peers.Client(), peers.URL(leader, path), q)
	if err != nil && answer.Error == "" {
		answer.Error = err.Error()
	}
	answerJoin(w, http.StatusOK, answer)
}

// addressOf is where a member's peers reach it; "" if it is not known here, or
// is this node.
func (a *assembly) addressOf(node task.NodeID) (address string) {
	if node == "" || node == a.parts.Identity.Node {
		return ""
	}
	a.node.View(func(s *state.State) {
		if m, ok := s.Member(node); ok {
			address = m.Raft
		}
	})
	return address
}
