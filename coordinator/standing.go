package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// pathStanding is where a node tells its peers how it stands.
const pathStanding = "/internal/v1/standing"

// standing is how a node stands, as only it can say.
type standing struct {
	Node        task.NodeID `json:"node"`
	Changes     uint64      `json:"changes"` // of the members, that it knows of
	Applied     uint64      `json:"applied"`
	LastContact int64       `json:"last_contact_ms"`
	LogBytes    int64       `json:"log_bytes"`
	DiskFree    int64       `json:"disk_free"`
	Copied      int64       `json:"copied"`
	CopiedBytes int64       `json:"copied_bytes"`
	// Digests are those of its state at entries that all nodes choose.
	Digests []consensus.DigestAt `json:"digests,omitempty"`
}

// ownStanding is how this node stands.
func (a *assembly) ownStanding() standing {
	s := standing{
		Node: a.parts.Identity.Node, Changes: a.changes(), Applied: a.Status().Applied, LastContact: -1, DiskFree: -1,
		Copied: a.copied.Blobs.Load(), CopiedBytes: a.copied.Bytes.Load(),
		Digests: a.node.Digests(),
	}
	if d := a.node.LastContact(); d >= 0 {
		s.LastContact = d.Milliseconds()
	}
	if a.parts.Disk != nil {
		s.LogBytes, s.DiskFree = a.parts.Disk()
	}
	return s
}

func (a *assembly) serveStanding(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a.ownStanding()) // a peer that went away asks again
}

// answersSoon is how long a member may take to say how it stands.
const answersSoon = 2 * time.Second

// standingOf asks a member how it stands.
func (a *assembly) standingOf(ctx context.Context, m state.Member) (s standing, err error) {
	if m.Node == a.parts.Identity.Node {
		return a.ownStanding(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, answersSoon)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, peers.URL(m.Node, pathStanding), nil)
	if err != nil {
		return s, err
	}
	res, err := a.parts.Peers.Client().Do(req)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return s, fmt.Errorf("node %s at %s answers %s", m.Node, m.Raft, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxJoinBody)).Decode(&s); err != nil {
		return s, fmt.Errorf("node %s at %s: %w", m.Node, m.Raft, err)
	}
	return s, nil
}

// asked is a member and what it answered.
type asked struct {
	member   state.Member
	standing standing
	err      error
}

// askAll asks all members at the same time how they stand.
func (a *assembly) askAll(ctx context.Context, members []state.Member) []asked {
	all := make([]asked, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			s, err := a.standingOf(ctx, m)
			all[i] = asked{m, s, err}
		})
	}
	wg.Wait()
	return all
}

// allMembers are those that were not removed.
func (a *assembly) allMembers() (all []state.Member) {
	a.node.View(func(s *state.State) { s.Members(func(m *state.Member) { all = append(all, *m) }) })
	return all
}
