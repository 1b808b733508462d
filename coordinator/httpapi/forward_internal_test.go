package httpapi

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// follower is a node that only knows who leads.
type follower struct {
	Node
	leader atomic.Value
}

func (f *follower) Leader() task.NodeID { return f.leader.Load().(task.NodeID) }

// silence is a leader that takes requests and never answers, as one that was
// stopped.
type silence struct{}

func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func following(leader task.NodeID) (*Server, *follower) {
	node := &follower{}
	node.leader.Store(leader)
	turn := make(chan struct{}, 1)
	return &Server{
		cfg: Config{
			Name: "n1", Node: node, Patience: time.Second, Refused: func(protocol.Code) {},
			Forward: &http.Client{Transport: silence{}},
		},
		passing: map[bool]chan struct{}{true: turn, false: make(chan struct{}, 1)},
	}, node
}

// forwards passes an exchange on and returns the status of the answer, and after
// how long it came.
func forwards(s *Server, header string) (int, time.Duration) {
	began, w := time.Now(), httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, protocol.PathRequests, nil)
	if header != "" {
		r.Header.Set(headerForwarded, header)
	}
	s.forwardRequest(w, r, protocol.PurposeExchange, nil)
	return w.Code, time.Since(began)
}

// A leader that never answers is waited for as long as it leads.
func TestForwardingEndsWithTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, node := following("n2")
		go func() {
			time.Sleep(10 * time.Second)
			node.leader.Store(task.NodeID("n3"))
		}()
		status, took := forwards(s, "")
		if want := protocol.CodeNoLeader.HTTPStatus(); status != want || took < 10*time.Second || took > 10*time.Second+leaderCheck {
			t.Errorf("status %d after %s, want %d when n2 leads no more, after 10 s", status, took, want)
		}
		if len(s.passing[true]) != 0 {
			t.Error("the request still has its place")
		}
	})
}

// Who waits for a place for too long is sent away; a request that was passed on
// once, or has nowhere to go, is answered at once.
func TestForwardingHasFewPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, node := following("n2")
		s.passing[true] <- struct{}{}
		if status, took := forwards(s, ""); status != protocol.CodeOverloaded.HTTPStatus() || took != s.cfg.Patience {
			t.Errorf("all places taken: status %d after %s, want overloaded after %s", status, took, s.cfg.Patience)
		}
		if status, took := forwards(s, "n2"); status != protocol.CodeNoLeader.HTTPStatus() || took != 0 {
			t.Errorf("passed on before: status %d after %s, want no leader at once", status, took)
		}
		node.leader.Store(task.NodeID(""))
		if status, took := forwards(s, ""); status != protocol.CodeNoLeader.HTTPStatus() || took != 0 {
			t.Errorf("nobody leads: status %d after %s, want no leader at once", status, took)
		}
		if peers.URL("n2", "") == s.leaderURL() {
			t.Error("nobody leads, and there is an address")
		}
	})
}
