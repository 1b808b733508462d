package coordinatortest_test

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// A lost disk must not stay a vote: after the loss was made good, the cluster
// can lose another node.
func TestReplacedNodeHasNoVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		lost := c.Nodes[2]
		if lost == c.LeaderNode() {
			lost = c.Nodes[1]
		}
		c.Kill(lost)
		c.Add(lost.Name)
		lead := c.LeaderNode()
		voters, err := lead.Running().Voters()
		if _, still := voters[lost.Name]; err != nil || still || len(voters) != 3 {
			t.Fatalf("the voters are %v, %v; want three, without %s", slices.Sorted(maps.Keys(voters)), err, lost.Name)
		}
		lead.Running().State(func(s *state.State) {
			if m, ok := s.Member(lost.Name); !ok || !m.Removed {
				t.Errorf("the lost node is %+v, want it removed", m)
			}
		})
		for _, n := range c.Nodes[1:] {
			if n != lead && n != lost {
				c.Kill(n)
				break
			}
		}
		c.LeaderNode()
	})
}

// A cluster that grew by a node instead can be put right: the new node is
// started once more, and says whose place it takes.
func TestReplacedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		c.Kill(c.Nodes[2])
		grown := c.Add("")
		if voters, err := c.Leader().Voters(); err != nil || len(voters) != 4 {
			t.Fatalf("%d voters, %v; want 4", len(voters), err)
		}
		c.Kill(grown)
		grown.TakePlaceOf(c.Nodes[2].Name)
		c.Start(grown)
		c.WaitFor("the lost node to be removed", func() bool {
			voters, err := c.Leader().Voters()
			return err == nil && len(voters) == 3
		})
	})
}

func TestConflictsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 2)
		defer c.Stop()
		for _, k := range []struct {
			node, url, replaces string
			status              int
			says                string
		}{
			{"n3", "http://n3.test", "", http.StatusOK, ""},
			{"n3", "http://n2.test/", "", http.StatusConflict, "is that of node n2"},
			{"n3", "http://n2.test", "n2", http.StatusOK, ""},
			{"n3", "http://n3.test", "n7", http.StatusConflict, "no member of the cluster has that name"},
			{"n2", "http://n3.test", "", http.StatusConflict, "--replace n2"},
			{"n3", "http://n3.test", "n3", http.StatusConflict, "cannot take its own place"},
		} {
			key := task.Sum([]byte("key of " + k.node)).String()
			status, text := c.AskToJoin(map[string]string{"node": k.node, "url": k.url, "raft": "127.0.0.1:9", "key": key, "replaces": k.replaces})
			if status != k.status || !strings.Contains(text, k.says) {
				t.Errorf("node %s at %s for %q: got %d %s, want %d and %q", k.node, k.url, k.replaces, status, text, k.status, k.says)
			}
		}
	})
}

// Whoever means a dead node by mistake must not lose a living one.
func TestLivingNodeIsNotReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		for _, living := range c.Nodes[:3] { // one of them leads
			n := c.Nodes[2]
			if n == living {
				n = c.Nodes[1]
			}
			c.Kill(n)
			n.TakePlaceOf(living.Name)
			c.Start(n)
			c.LeaderNode()
			time.Sleep(10 * time.Second) // in the bubble: it asks twenty times
			if voters, err := c.Leader().Voters(); err != nil || len(voters) != 3 {
				t.Errorf("for the place of %s: %d voters, %v; want 3", living.Name, len(voters), err)
			}
			c.Kill(n)
			n.TakePlaceOf("")
			c.Start(n)
		}
	})
}

// Only members are served beyond joining: a stranger is not, and neither is a
// node from the moment that it was removed, although it could prove its name.
func TestOnlyMembersAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		lost := c.Nodes[2]
		if lost == c.LeaderNode() {
			lost = c.Nodes[1]
		}
		ask := func(from *coordinatortest.Node, method, path string) (int, string) {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), method, peers.URL(c.LeaderNode().Name, path), strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			res, err := c.PeerClient(from).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return res.StatusCode, string(b)
		}
		output := "/internal/v1/outputs/" + task.EmptyDigest.String()
		for _, path := range []string{output, "/v1/cluster", "/v1/jobs", "/internal/v1/admit"} {
			method := http.MethodGet
			if strings.HasSuffix(path, "admit") {
				method = http.MethodPost
			}
			if status, text := ask(nil, method, path); status != http.StatusForbidden {
				t.Errorf("a stranger asks for %s: got %d %s, want 403", path, status, text)
			}
		}
		if status, text := ask(lost, http.MethodGet, output); status != http.StatusNotFound {
			t.Errorf("a member asks for an output that is nowhere: got %d %s, want 404", status, text)
		}
		member := "/internal/v1/members/" + string(lost.Name)
		if status, text := ask(lost, http.MethodGet, member); status != http.StatusOK || !strings.Contains(text, task.Sum([]byte(lost.Name)).String()) {
			t.Errorf("members are asked about %s: got %d %s, want its key", lost.Name, status, text)
		}
		if status, text := ask(lost, http.MethodGet, "/internal/v1/members/n9"); status != http.StatusNotFound {
			t.Errorf("members are asked about nobody: got %d %s, want 404", status, text)
		}
		c.Kill(lost)
		c.Add(lost.Name)
		for _, path := range []string{output, "/v1/jobs"} {
			if status, text := ask(lost, http.MethodGet, path); status != http.StatusForbidden || !strings.Contains(text, "was removed") {
				t.Errorf("a removed node asks for %s: got %d %s, want 403 and that it was removed", path, status, text)
			}
		}
	})
}
