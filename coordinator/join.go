package coordinator

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// A node joins in two steps. It asks a member for the cluster's id and secret
// (pathJoin, with the token); then, running, it asks to be admitted (pathAdmit,
// with the proof that the secret makes): it follows the log without a vote,
// copies the blobs that the members have, and gets its vote when enough of them
// are there. The second step is repeated at every start, so that a changed
// address becomes known.
const (
	pathJoin     = "/internal/v1/join"
	pathAdmit    = "/internal/v1/admit"
	pathInstance = "/internal/v1/instance"
)

// maxJoinBody bounds both requests and answers, in bytes.
const maxJoinBody = 64 << 10

type joinRequest struct {
	Node  task.NodeID `json:"node"`
	URL   string      `json:"url"`
	Raft  string      `json:"raft"`
	Token string      `json:"token,omitempty"`
	Proof string      `json:"proof,omitempty"`
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
	Cluster task.ClusterID `json:"cluster"`
	Secret  []byte         `json:"secret,omitempty"`
	Done    bool           `json:"done,omitempty"`
	// Waits is what the node's admission waits for.
	Waits string `json:"waits,omitempty"`
	Error string `json:"error,omitempty"`
	// Refused: asking again changes nothing until a person does something.
	Refused bool `json:"refused,omitempty"`
	// Stop: and the node must not run, not even as it is.
	Stop bool `json:"stop,omitempty"`
}

// errUnreachable means that nobody answered at all.
var errUnreachable = errors.New("no coordinator answers")

// joinPatience is how long a new node waits for the cluster to answer.
const joinPatience = 30 * time.Second

// askToJoin takes the first step.
func askToJoin(ctx context.Context, cfg *Config, peers *http.Client) (Identity, error) {
	id := Identity{Format: identityFormat, Node: newName(cfg)}
	q := joinRequest{Node: id.Node, URL: cfg.Advertise, Raft: cfg.advertiseRaft, Token: cfg.Token, Replaces: cfg.Replace, Version: state.Newest}
	answer, err := ask(ctx, peers, cfg.Join, pathJoin, q)
	// Whoever starts several nodes at once starts them in any order.
	for end := time.Now().Add(joinPatience); err != nil && errors.Is(err, errUnreachable) && ctx.Err() == nil && time.Now().Before(end); {
		cfg.Logger.Info("waiting for the cluster to answer", "url", cfg.Join, "why", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
			answer, err = ask(ctx, peers, cfg.Join, pathJoin, q)
		}
	}
	if err != nil {
		return Identity{}, fmt.Errorf("joining the cluster at %s: %w", cfg.Join, err)
	}
	if answer.Cluster.IsZero() || len(answer.Secret) != 32 {
		return Identity{}, fmt.Errorf("joining the cluster at %s: it did not say which cluster it is", cfg.Join)
	}
	id.Cluster, id.Secret = answer.Cluster, answer.Secret
	return id, nil
}

// ask sends a request to a coordinator. A refusal comes as the answer and as an
// error.
func ask(ctx context.Context, peers *http.Client, url, path string, q joinRequest) (joinAnswer, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return joinAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(url, "/")+path, bytes.NewReader(body))
	if err != nil {
		return joinAnswer{}, err
	}
	res, err := peers.Do(req)
	if err != nil {
		return joinAnswer{}, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer res.Body.Close()
	var answer joinAnswer
	if err := json.NewDecoder(io.LimitReader(res.Body, maxJoinBody)).Decode(&answer); err != nil {
		return joinAnswer{}, fmt.Errorf("%s answered %s, which is no answer of a coordinator", url, res.Status)
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

// sameCluster refuses a folder of another cluster than the one to join. A
// member that does not answer proves nothing: the node is only restarting.
func sameCluster(ctx context.Context, cfg *Config, peers *http.Client, mine task.ClusterID) error {
	if cfg.Join == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(cfg.Join, "/")+protocol.PathCluster, nil)
	if err != nil {
		return fmt.Errorf("--join %q: %w", cfg.Join, err)
	}
	res, err := peers.Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	var theirs protocol.ClusterView
	if json.NewDecoder(io.LimitReader(res.Body, maxJoinBody)).Decode(&theirs) != nil || theirs.Cluster.IsZero() || theirs.Cluster == mine {
		return nil
	}
	return fmt.Errorf("data folder %s belongs to cluster %s, and %s is cluster %s; give an empty folder to join it", cfg.Dir, mine, cfg.Join, theirs.Cluster)
}

// serveJoin answers the first step: it gives the secret to whoever may join.
func (a *assembly) serveJoin(w http.ResponseWriter, r *http.Request) {
	var q joinRequest
	if !readJoin(w, r, &q) {
		return
	}
	if !a.mayJoin(r, q) {
		answerJoin(w, http.StatusForbidden, joinAnswer{Error: "the join token is missing or wrong; the coordinator printed it when the cluster was made, and keeps it in the file join-token of its data folder"})
		return
	}
	if err := task.CheckHandle(string(q.Node)); err != nil {
		answerJoin(w, http.StatusBadRequest, joinAnswer{Error: err.Error()})
		return
	}
	var why error
	a.node.View(func(s *state.State) {
		if _, taken := s.Member(q.Node); taken {
			why = fmt.Errorf("a coordinator named %q is or was a member; a node that lost its data folder joins under a new --name, with --replace %s", q.Node, q.Node)
		} else {
			why = conflict(s, q)
		}
	})
	if why != nil {
		answerJoin(w, http.StatusConflict, joinAnswer{Error: why.Error(), Refused: true})
		return
	}
	answerJoin(w, http.StatusOK, joinAnswer{Cluster: a.parts.Identity.Cluster, Secret: a.parts.Identity.Secret})
}

// mayJoin asks for the token, unless the whole cluster and the caller live on
// this machine's loopback, as in a trial. A proxy in between counts as outside.
func (a *assembly) mayJoin(r *http.Request, q joinRequest) bool {
	if q.Token != "" {
		return hmac.Equal([]byte(q.Token), []byte(joinToken(a.parts.Identity.Secret)))
	}
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	return a.parts.Local && loopback(r.RemoteAddr) && loopback(q.Raft)
}

func readJoin(w http.ResponseWriter, r *http.Request, q *joinRequest) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxJoinBody)).Decode(q)
	if err != nil {
		answerJoin(w, http.StatusBadRequest, joinAnswer{Error: fmt.Sprintf("the request cannot be read: %v", err)})
	}
	return err == nil
}

func answerJoin(w http.ResponseWriter, status int, a joinAnswer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // a caller that went away asks again
}
