package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// pathMembers is below which members tell each other what they know of a node.
const pathMembers = "/internal/v1/members/"

// vouchTimeout is how long the members that are known may take, together, to
// say whether they know a node.
const vouchTimeout = 3 * time.Second

// strangers are nodes that this one's state does not name and other members
// do: it lags behind.
type strangers struct {
	mu      sync.Mutex // held while the others are asked, so that they are asked once
	vouched map[peers.Peer]bool
}

// known says what the state says of a node that proved its name: nil if it may
// take part. ok is false where the state does not name it.
func (a *assembly) known(p peers.Peer) (ok bool, err error) {
	a.node.View(func(s *state.State) {
		m, found := s.Member(p.Node)
		switch ok = found; {
		case !ok:
			err = fmt.Errorf("node %s is not known here: %w", p.Node, peers.ErrNotVouched)
		case m.Removed:
			err = fmt.Errorf("node %s was removed from the cluster: %w", p.Node, peers.ErrNotVouched)
		case m.Key != p.Key:
			err = fmt.Errorf("the cluster knows node %s by another key: %w", p.Node, peers.ErrNotVouched)
		}
	})
	return ok, err
}

// vouch says why a node that proved its name may not speak raft with this one.
// A state that lags behind may not name the leader, which alone could help it
// on; and whoever has the authority's key, as one who was removed has, can make
// a certificate for any name. So the members that the state does name are asked.
// A node that knows no member yet was let in by one a moment ago: there the
// certificate is enough.
func (a *assembly) vouch(ctx context.Context, p peers.Peer) error {
	ok, err := a.known(p)
	if ok {
		return err
	}
	others := a.otherMembers()
	if len(others) == 0 {
		return nil
	}
	a.strangers.mu.Lock()
	defer a.strangers.mu.Unlock()
	if a.strangers.vouched[p] {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, vouchTimeout)
	defer cancel()
	for _, name := range others {
		if name != p.Node && a.vouchedBy(ctx, name, p) {
			if a.strangers.vouched == nil {
				a.strangers.vouched = map[peers.Peer]bool{}
			}
			a.strangers.vouched[p] = true
			return nil
		}
	}
	return err
}

// otherMembers are those that the state names, but this node and those that join.
func (a *assembly) otherMembers() (names []task.NodeID) {
	a.node.View(func(s *state.State) {
		s.Members(func(m *state.Member) {
			if m.Node != a.parts.Identity.Node && !m.Joining {
				names = append(names, m.Node)
			}
		})
	})
	return names
}

// knownMember is what a member says of a node.
type knownMember struct {
	Key     task.Digest `json:"key"`
	Removed bool        `json:"removed,omitempty"`
}

// vouchedBy asks a member whether it knows a node with this key.
func (a *assembly) vouchedBy(ctx context.Context, member task.NodeID, p peers.Peer) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // the next one may be up
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, peers.URL(member, pathMembers+string(p.Node)), nil)
	if err != nil {
		return false
	}
	res, err := a.parts.Peers.Client().Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	var m knownMember
	if res.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(res.Body, maxJoinBody)).Decode(&m) != nil {
		return false
	}
	return m.Key == p.Key && !m.Removed
}

// serveMember tells a member what this one knows of a node.
func (a *assembly) serveMember(w http.ResponseWriter, r *http.Request) {
	var m *knownMember
	a.node.View(func(s *state.State) {
		if known, ok := s.Member(task.NodeID(r.PathValue("node"))); ok {
			m = &knownMember{known.Key, known.Removed}
		}
	})
	if m == nil {
		http.Error(w, "no node of that name is known here", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(m) // who went away asks again
}

// membersOnly lets coordinators through that the state names.
func (a *assembly) membersOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, ok := peers.CallerOf(r.Context())
		if !ok {
			http.Error(w, "only coordinators of this cluster are served here; clients use the port of --listen", http.StatusForbidden)
			return
		}
		if _, err := a.known(caller); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}
