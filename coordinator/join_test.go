package coordinator_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// startFirst runs the first node of a cluster, with HTTPS for clients.
func startFirst(t *testing.T) *running {
	t.Helper()
	cfg := config(t, "n1")
	cfg.Bootstrap, cfg.HTTPS.Encryption = &coordinator.Bootstrap{Anyone: true}, coordinator.EncryptOwn
	n := start(t, cfg)
	n.members(t, "n1")
	return n
}

func invite(t *testing.T, n *running, life time.Duration) string {
	t.Helper()
	token, err := n.Invite(life)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// joining is the configuration of a node that is to join another's cluster.
func joining(t *testing.T, name task.NodeID, at *running, token string) coordinator.Config {
	t.Helper()
	cfg := config(t, name)
	cfg.Join, cfg.Token, cfg.HTTPS.Encryption, cfg.Logger = at.Info().URL, token, coordinator.EncryptOwn, at.cfg.Logger
	return cfg
}

// refused opens a node that must not get in.
func refused(t *testing.T, what string, cfg coordinator.Config, says string) {
	t.Helper()
	c, err := coordinator.Open(t.Context(), cfg)
	if err == nil {
		_ = c
		t.Fatalf("%s: it was let in", what)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("%s: got %v, want %q", what, err, says)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, "node.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: it has an identity (%v)", what, err)
	}
}

// A token lets one node join, once, for a while, into the cluster that made it.
func TestJoinToken(t *testing.T) {
	n1, other := startFirst(t), startFirst(t)
	defer n1.stop(t)
	defer other.stop(t)
	token := invite(t, n1, time.Hour)
	refused(t, "no token that this one could read", joining(t, "n2", n1, "sheaf-join-what"), "copy it whole")
	refused(t, "a token with a changed byte", joining(t, "n2", n1, changed(token)), "not made by this cluster")
	refused(t, "a token of another cluster", joining(t, "n2", n1, invite(t, other, time.Hour)), "not of the cluster that the join token is for")
	refused(t, "a token whose time is over", joining(t, "n2", n1, invite(t, n1, -time.Minute)), "was good until")

	second := joining(t, "n2", n1, token)
	n2 := start(t, second)
	n1.members(t, "n1", "n2")
	refused(t, "a token that was used", joining(t, "n3", n1, token), "used already, by node n2")
	refused(t, "a name that is taken", joining(t, "n2", n1, invite(t, n1, time.Hour)), "--replace n2")

	// Clients are told of each member with the fingerprint that they need.
	n2.members(t, "n1", "n2")
	n2.State(func(s *state.State) {
		s.Members(func(m *state.Member) {
			if !strings.HasPrefix(m.URL, "https://") || !strings.Contains(m.URL, "/#sha256=") {
				t.Errorf("clients are told that %s is at %q; want HTTPS and a fingerprint", m.Node, m.URL)
			}
		})
	})
	n2.stop(t)
	n2 = start(t, second) // the token is in its command line still, and not asked for
	defer n2.stop(t)
}

// changed is a token with another byte in its proof.
func changed(token string) string {
	b := []byte(token)
	i := len(b) - 5
	b[i] = map[bool]byte{true: 'B', false: 'A'}[b[i] == 'A']
	return string(b)
}

// A node that was let in and died before it knew asks again with its token, and
// with its key: that is no second node.
func TestJoinAgainAfterACrash(t *testing.T) {
	n1 := startFirst(t)
	defer n1.stop(t)
	cfg := joining(t, "", n1, invite(t, n1, time.Hour)) // its name is drawn, and must be the same again
	first := start(t, cfg)
	name := first.Info().Node
	first.kill()
	<-first.done
	for _, lost := range []string{"node.json", "raft", "blobs", "outputs", "segments"} {
		if err := os.RemoveAll(filepath.Join(cfg.Dir, lost)); err != nil {
			t.Fatal(err)
		}
	}
	var known state.Member
	n1.State(func(s *state.State) {
		if m, ok := s.Member(name); ok {
			known = *m
		}
	})
	again, err := coordinator.Open(t.Context(), cfg)
	switch {
	case known.Joining && err != nil:
		t.Errorf("a node that was let in and not admitted: %v", err)
	case !known.Joining && (err == nil || !strings.Contains(err.Error(), "has joined already")):
		t.Errorf("a member that lost its folder but for its key: got %v, want a refusal", err)
	}
	if err == nil {
		if again.Info().Node != name {
			t.Errorf("it is named %s now, want %s", again.Info().Node, name)
		}
		r := &running{Coordinator: again, cfg: cfg, done: make(chan error, 1)}
		r.run(t)
		r.stop(t)
	}
}

// A node without its key cannot prove who it is, and does not pretend.
func TestLostKey(t *testing.T) {
	n1 := startFirst(t)
	n1.stop(t)
	if err := os.Remove(filepath.Join(n1.cfg.Dir, "node.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := coordinator.Open(t.Context(), n1.cfg); err == nil || !strings.Contains(err.Error(), "has lost a part of its data folder") {
		t.Errorf("without its key: got %v, want that a part is lost", err)
	}
	info, err := os.Stat(filepath.Join(n1.cfg.Dir, "node.json"))
	if err != nil || info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		t.Errorf("node.json holds the cluster's keys and has mode %v, %v; want 0600", info.Mode(), err)
	}
}

// Whoever has the authority's key, as the operator of a removed node has, can
// make a certificate for any name. Under one that nobody has it opens no door,
// and neither does it under that of a member.
func TestCertificateOfNobody(t *testing.T) {
	n1 := startFirst(t)
	defer n1.stop(t)
	n2 := start(t, joining(t, "n2", n1, invite(t, n1, time.Hour)))
	defer n2.stop(t)
	n1.members(t, "n1", "n2")
	n2.members(t, "n1", "n2")
	b, err := os.ReadFile(filepath.Join(n2.cfg.Dir, "node.json"))
	if err != nil {
		t.Fatal(err)
	}
	var id coordinator.Identity
	if err := json.Unmarshal(b, &id); err != nil {
		t.Fatal(err)
	}
	stolen, err := peers.DecodeKey(id.Authority)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := peers.NewAuthority(stolen)
	if err != nil {
		t.Fatal(err)
	}
	key, err := peers.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []task.NodeID{"n9", "n2"} {
		forger, err := peers.Listen(peers.Config{
			Node: name, Authority: authority, Key: key, Now: time.Now, Logger: n1.cfg.Logger,
			Vouch: func(context.Context, peers.Peer) error { return nil },
		}, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer forger.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		conn, err := forger.DialRaft(ctx, "n1", n1.Info().Raft)
		if err == nil { // its side of the handshake ends before ours
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		if err == nil {
			t.Errorf("raft was spoken with a forger named %s", name)
		}
		client := forger.ClientAt("n1", n1.Info().Raft)
		for path, method := range map[string]string{"/internal/v1/outputs/" + task.EmptyDigest.String(): http.MethodGet, "/v1/jobs": http.MethodGet, "/internal/v1/members/n1": http.MethodGet} {
			if status := call(t, client, method, path, ""); status != http.StatusForbidden {
				t.Errorf("a forger named %s asks for %s: got %d, want 403", name, path, status)
			}
		}
		body := `{"node":"` + string(name) + `","url":"https://h.example","raft":"127.0.0.1:1"}`
		if status := call(t, client, http.MethodPost, "/internal/v1/admit", body); status != http.StatusConflict {
			t.Errorf("a forger named %s asks to be admitted: got %d, want 409", name, status)
		}
	}
	if voters, err := n1.Voters(); err != nil || len(voters) != 2 {
		t.Errorf("the voters are %v, %v; want n1 and n2", voters, err)
	}
}

// call sends one request to n1 and returns the answer's status.
func call(t *testing.T, c *http.Client, method, path, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, peers.URL("n1", path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}
