package coordinator

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// A node joins in three steps. It asks a member, at the URL for clients, where
// its peers reach it (pathInstance). There, where the member proves to be of
// the cluster that the token names, it shows the token and gets the cluster's
// keys (pathJoin), with which it makes its certificate. Then, running, it asks
// to be admitted (pathAdmit), with that certificate: it follows the log without
// a vote, copies the blobs that the members have, and gets its vote when enough
// of them are there. The last step is repeated at every start, so that a
// changed address becomes known.
const (
	pathJoin     = "/internal/v1/join"
	pathAdmit    = "/internal/v1/admit"
	pathInstance = "/internal/v1/instance"
)

// maxJoinBody bounds both requests and answers, in bytes.
const maxJoinBody = 64 << 10

// joinBodyTimeout is how long a request, which may be a stranger's, may take to
// arrive.
const joinBodyTimeout = 10 * time.Second

type joinRequest struct {
	Node  task.NodeID `json:"node"`
	URL   string      `json:"url"`
	Raft  string      `json:"raft"`
	Token string      `json:"token,omitempty"`
	// Key is the fingerprint of the node's key. In a request to be admitted the
	// node's certificate says it.
	Key task.Digest `json:"key"`
	// Replaces names a member that is lost for good, whose place the node takes.
	Replaces task.NodeID `json:"replaces,omitempty"`
	// Version is the newest version of the cluster that the node's program knows.
	Version uint16 `json:"version,omitempty"`
	// Instance tells this process from one that runs a copy of its folder.
	Instance string `json:"instance,omitempty"`
	// Copied: the node has what the members have, as far as it can tell.
	Copied bool `json:"copied,omitempty"`
	// Trouble is why it cannot copy at the moment.
	Trouble string `json:"trouble,omitempty"`
	// Passed: a member has passed it on already. Two that disagree about the
	// leader must not play ball.
	Passed bool `json:"passed,omitempty"`
}

type joinAnswer struct {
	Cluster   task.ClusterID `json:"cluster"`
	Secret    []byte         `json:"secret,omitempty"`
	Authority []byte         `json:"authority,omitempty"`
	Done      bool           `json:"done,omitempty"`
	// Waits is what the node's admission waits for.
	Waits string `json:"waits,omitempty"`
	Error string `json:"error,omitempty"`
	// Refused: asking again changes nothing until a person does something.
	Refused bool `json:"refused,omitempty"`
	// Stop: and the node must not run, not even as it is.
	Stop bool `json:"stop,omitempty"`
}

// Reasons to ask again: nobody answered at all, or the cluster cannot say yet.
var (
	errUnreachable = errors.New("no coordinator answers")
	errNotYet      = errors.New("the cluster cannot let a node in at the moment")
)

// joinPatience is how long a new node waits for the cluster to let it in.
const joinPatience = 30 * time.Second

// askToJoin takes the first two steps.
func askToJoin(ctx context.Context, cfg *Config, key *ecdsa.PrivateKey) (Identity, error) {
	q := joinRequest{URL: cfg.Advertise, Raft: cfg.advertiseRaft, Token: cfg.Token, Replaces: cfg.Replace, Version: state.Newest}
	var err error
	if q.Node, err = newName(cfg, key); err != nil {
		return Identity{}, err
	}
	if q.Key, err = peers.FingerprintOf(key); err != nil {
		return Identity{}, err
	}
	answer, err := cfg.join(ctx, q)
	// Whoever starts several nodes at once starts them in any order.
	for end := time.Now().Add(joinPatience); (errors.Is(err, errUnreachable) || errors.Is(err, errNotYet)) && ctx.Err() == nil && time.Now().Before(end); {
		cfg.Logger.Info("waiting for the cluster to let this node in", "url", cfg.Join, "why", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
			answer, err = cfg.join(ctx, q)
		}
	}
	if err != nil {
		return Identity{}, fmt.Errorf("joining the cluster at %s: %w", cfg.Join, err)
	}
	if answer.Cluster.IsZero() || len(answer.Secret) != 32 || len(answer.Authority) == 0 {
		return Identity{}, fmt.Errorf("joining the cluster at %s: it did not say which cluster it is", cfg.Join)
	}
	return Identity{Format: identityFormat, Node: q.Node, Cluster: answer.Cluster, Secret: answer.Secret, Authority: answer.Authority}, nil
}

// join finds a member and shows it the token, and nobody else.
func (c *Config) join(ctx context.Context, q joinRequest) (joinAnswer, error) {
	var pin task.Digest
	if c.Token != "" {
		t, err := parseToken(c.Token)
		if err != nil {
			return joinAnswer{}, fmt.Errorf("--token: %w", err)
		}
		pin = t.Authority
	}
	member, err := findMember(ctx, c)
	if err != nil {
		return joinAnswer{}, err
	}
	if c.Token == "" && !loopback(member.Raft) {
		return joinAnswer{}, errors.New("a join token is needed beyond this machine: make one at a member with sheaf operator token, and give it with --token")
	}
	answer, err := ask(ctx, peers.Stranger(member.Raft, pin, c.Wall), peers.URL(member.Node, pathJoin), q)
	if errors.Is(err, protocol.ErrFingerprint) || errors.Is(err, protocol.ErrUntrusted) {
		return joinAnswer{}, fmt.Errorf("node %s at %s is not of the cluster that the join token is for: give the URL of a member of that cluster, or a token of this one (%v)", member.Node, member.Raft, err)
	}
	if errors.Is(err, errUnreachable) {
		err = fmt.Errorf("%w; the address for coordinators of node %s is %s: see that this machine reaches it", err, member.Node, member.Raft)
	}
	return answer, err
}

// ask sends a request to a coordinator. A refusal comes as the answer and as an
// error.
func ask(ctx context.Context, client *http.Client, url string, q joinRequest) (joinAnswer, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return joinAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return joinAnswer{}, err
	}
	res, err := client.Do(req)
	if errors.Is(err, protocol.ErrFingerprint) || errors.Is(err, protocol.ErrOutOfDate) || errors.Is(err, peers.ErrOtherCluster) {
		return joinAnswer{}, err
	}
	if err != nil {
		return joinAnswer{}, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer res.Body.Close()
	var answer joinAnswer
	if err := json.NewDecoder(io.LimitReader(res.Body, maxJoinBody)).Decode(&answer); err != nil {
		return joinAnswer{}, fmt.Errorf("%s answered %s, which is no answer of a coordinator", url, res.Status)
	}
	switch {
	case answer.Refused:
		return answer, errors.New(answer.Error)
	case answer.Error != "":
		return answer, fmt.Errorf("%w: %s", errNotYet, answer.Error)
	}
	return answer, nil
}

// serveJoin answers the second step: it gives the cluster's keys to whoever may
// join.
func (a *assembly) serveJoin(w http.ResponseWriter, r *http.Request) {
	var q joinRequest
	if !readJoin(w, r, &q) {
		return
	}
	number, err := a.checkToken(r, q)
	if err != nil {
		answerJoin(w, http.StatusForbidden, joinAnswer{Error: err.Error(), Refused: true})
		return
	}
	if err := task.CheckHandle(string(q.Node)); err != nil || q.Key.IsZero() {
		answerJoin(w, http.StatusBadRequest, joinAnswer{Error: fmt.Sprintf("a node needs a name and a key: %v", err), Refused: true})
		return
	}
	if !a.node.Serving() {
		a.passOn(w, r.Context(), pathJoin, q)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 8*time.Second)
	defer cancel()
	err = a.letIn(ctx, q, number)
	if err != nil {
		answerRefusal(w, err)
		return
	}
	id := &a.parts.Identity
	answerJoin(w, http.StatusOK, joinAnswer{Cluster: id.Cluster, Secret: id.Secret, Authority: id.Authority})
}

// checkToken returns the number of the token of a request. None is needed where
// the whole cluster and the caller live on this machine's loopback, as in a
// trial; the number is then 0.
func (a *assembly) checkToken(r *http.Request, q joinRequest) (number uint64, err error) {
	if q.Token == "" {
		if a.parts.Local && loopback(r.RemoteAddr) && loopback(q.Raft) {
			return 0, nil
		}
		return 0, errors.New("a join token is needed: make one at a member with sheaf operator token, and give it with --token")
	}
	t, err := parseToken(q.Token)
	switch {
	case err != nil:
		return 0, err
	case !t.genuine(a.parts.Identity.Secret):
		return 0, errors.New("the join token was not made by this cluster; make one at a member with sheaf operator token")
	case a.parts.Wall().Unix() > t.Expires:
		return 0, fmt.Errorf("the join token was good until %s; make another one at a member with sheaf operator token", time.Unix(t.Expires, 0).UTC().Format(time.RFC3339))
	}
	return t.Number, nil
}

func readJoin(w http.ResponseWriter, r *http.Request, q *joinRequest) bool {
	// Where the connection has no deadlines (in tests) the limit in bytes is left.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(joinBodyTimeout))
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxJoinBody)).Decode(q)
	if err != nil {
		answerJoin(w, http.StatusBadRequest, joinAnswer{Error: fmt.Sprintf("the request cannot be read: %v", err), Refused: true})
	}
	return err == nil
}

func answerJoin(w http.ResponseWriter, status int, a joinAnswer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // a caller that went away asks again
}

// answerRefusal says why a node is not let in, or that it should ask again.
func answerRefusal(w http.ResponseWriter, err error) {
	var refused *refusal
	if errors.As(err, &refused) {
		answerJoin(w, http.StatusConflict, joinAnswer{Error: refused.text, Refused: true, Stop: refused.stop})
		return
	}
	answerJoin(w, http.StatusServiceUnavailable, joinAnswer{Error: err.Error()})
}
