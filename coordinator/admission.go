package coordinator

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/state"
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

// admissionProof is what a node shows to be admitted. Whom it asks it need not
// know by name.
func admissionProof(secret []byte, node task.NodeID) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("sheaf admission 1 " + string(node)))
	return hex.EncodeToString(mac.Sum(nil))
}

// serveAdmit answers the second step.
func (a *assembly) serveAdmit(w http.ResponseWriter, r *http.Request) {
	var q joinRequest
	if !readJoin(w, r, &q) {
		return
	}
	if !hmac.Equal([]byte(q.Proof), []byte(admissionProof(a.parts.Identity.Secret, q.Node))) {
		answerJoin(w, http.StatusForbidden, joinAnswer{Error: "only coordinators of this cluster are admitted"})
		return
	}
	if !a.node.Serving() {
		a.passAdmission(w, r.Context(), q)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 8*time.Second)
	defer cancel()
	waits, err := a.admit(ctx, q)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		answerJoin(w, http.StatusConflict, joinAnswer{Error: refused.text, Refused: true, Stop: refused.stop})
	case err != nil:
		answerJoin(w, http.StatusServiceUnavailable, joinAnswer{Error: err.Error()})
	default:
		answerJoin(w, http.StatusOK, joinAnswer{Cluster: a.parts.Identity.Cluster, Done: waits == "", Waits: waits})
	}
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
	member := state.Member{Node: q.Node, URL: q.URL, Raft: q.Raft, Version: q.Version}
	before := a.memberLeft(q.Node)
	var why error
	a.node.View(func(s *state.State) { why = conflict(s, q) })
	if why == nil {
		why = a.checkAlone(ctx, q, before)
	}
	if why != nil {
		return "", why
	}
	servers, err := a.node.Servers()
	if err != nil {
		return "", err
	}
	if before != nil {
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
	if r.Answer.Error != nil {
		return r.Answer.Error
	}
	return nil
}

// conflict refuses what cannot become true beside what the state says.
func conflict(s *state.State, q joinRequest) (why error) {
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
		if why != nil || m.Node == q.Node || m.Node == q.Replaces {
			return
		}
		address, flag := "", ""
		if strings.TrimSuffix(q.URL, "/") == strings.TrimSuffix(m.URL, "/") {
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

// checkAlone refuses a node that runs twice, and one that takes the place of a
// node that runs.
func (a *assembly) checkAlone(ctx context.Context, q joinRequest, before *state.Member) error {
	if before != nil && (before.URL != q.URL || before.Raft != q.Raft) {
		if i := a.whoIs(ctx, before.URL); i.Node == q.Node && i.Instance != q.Instance {
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
	if i := a.whoIs(ctx, lost.URL); i.Node == lost.Node {
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

// instance says which node a process is, and which process.
type instance struct {
	Cluster  task.ClusterID `json:"cluster"`
	Node     task.NodeID    `json:"node"`
	Instance string         `json:"instance"`
}

func (a *assembly) serveInstance(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(instance{a.parts.Identity.Cluster, a.parts.Identity.Node, a.instance})
}

// whoIs asks who is at a URL. If it is nobody of this cluster, or nobody who
// answers soon, the answer is empty.
func (a *assembly) whoIs(ctx context.Context, url string) instance {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+pathInstance, nil)
	if err != nil {
		return instance{}
	}
	res, err := a.parts.Peers.Do(req)
	if err != nil {
		return instance{}
	}
	defer res.Body.Close()
	var i instance
	if err := json.NewDecoder(io.LimitReader(res.Body, maxJoinBody)).Decode(&i); err != nil || i.Cluster != a.parts.Identity.Cluster {
		return instance{}
	}
	return i
}

// passAdmission sends a node's wish on to the leader.
func (a *assembly) passAdmission(w http.ResponseWriter, ctx context.Context, q joinRequest) {
	url := a.urlOf(a.node.Leader())
	if url == "" || q.Passed {
		answerJoin(w, http.StatusServiceUnavailable, joinAnswer{Error: "the cluster is choosing a leader"})
		return
	}
	q.Passed = true
	answer, err := ask(ctx, a.parts.Peers, url, pathAdmit, q)
	if err != nil {
		answer.Error = err.Error()
	}
	answerJoin(w, http.StatusOK, answer)
}

// urlOf is where a member is reached.
func (a *assembly) urlOf(node task.NodeID) (url string) {
	if node == "" || node == a.parts.Identity.Node {
		return ""
	}
	a.node.View(func(s *state.State) {
		if m, ok := s.Member(node); ok {
			url = m.URL
		}
	})
	return url
}
