package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// instance says which node a process is, and which process, and where its peers
// reach it. Anybody may know; nobody should believe it who does not meet the
// node there.
type instance struct {
	Cluster  task.ClusterID `json:"cluster"`
	Node     task.NodeID    `json:"node"`
	Raft     string         `json:"raft"`
	Instance string         `json:"instance"`
}

func (a *assembly) serveInstance(w http.ResponseWriter, _ *http.Request) {
	id := &a.parts.Identity
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(instance{id.Cluster, id.Node, id.Raft, a.instance}) // who went away asks again
}

// findMember asks, at the URL to join, which node is there.
func findMember(ctx context.Context, cfg *Config) (instance, error) {
	var i instance
	err := getOutside(ctx, cfg, pathInstance, &i)
	if err == nil && (task.CheckHandle(string(i.Node)) != nil || i.Raft == "") {
		err = fmt.Errorf("%s does not say which coordinator it is", cfg.Join)
	}
	return i, err
}

// getOutside reads JSON at the URL to join, as a client would.
func getOutside(ctx context.Context, cfg *Config, path string, into any) error {
	address, err := protocol.ParseAddress(cfg.Join)
	if err != nil {
		return fmt.Errorf("--join: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.Base+path, nil)
	if err != nil {
		return fmt.Errorf("--join %q: %w", cfg.Join, err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: address.TLS(cfg.Wall), DisableKeepAlives: true}}
	res, err := client.Do(req)
	switch why := protocol.ConnectError(err); {
	case why != nil:
		return why
	case err != nil:
		return fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxJoinBody))
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreachable, err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s answered %s: %s; give the URL for clients of a coordinator", cfg.Join, res.Status, clip(b))
	}
	return nil
}

// clip keeps a stranger's answer short and on one line.
func clip(b []byte) string {
	if len(b) > 200 {
		b = b[:200]
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(b), "?")), " ")
}

// sameCluster refuses a folder of another cluster than the one to join. A
// member that does not answer proves nothing: the node is only restarting.
func sameCluster(ctx context.Context, cfg *Config, mine task.ClusterID) error {
	if cfg.Join == "" {
		return nil
	}
	var theirs protocol.ClusterView
	if getOutside(ctx, cfg, protocol.PathCluster, &theirs) != nil || theirs.Cluster.IsZero() || theirs.Cluster == mine {
		return nil
	}
	return fmt.Errorf("data folder %s belongs to cluster %s, and %s is cluster %s; give an empty folder to join it", cfg.Dir, mine, cfg.Join, theirs.Cluster)
}

// whoIs asks who is at an address for coordinators, if it is the node of a
// name. If it is not, or does not answer soon, the answer is empty.
func (a *assembly) whoIs(ctx context.Context, node task.NodeID, raft string) instance {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, peers.URL(node, pathInstance), nil)
	if err != nil {
		return instance{}
	}
	res, err := a.parts.Peers.ClientAt(node, raft).Do(req)
	if err != nil {
		return instance{}
	}
	defer res.Body.Close()
	var i instance
	if err := json.NewDecoder(io.LimitReader(res.Body, maxJoinBody)).Decode(&i); err != nil || i.Cluster != a.parts.Identity.Cluster || i.Node != node {
		return instance{}
	}
	return i
}
