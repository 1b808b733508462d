package remote_test

import (
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/protocol"
)

// site is a coordinator that notes that it was asked.
func (n *network) site(host string, log *[]string, reply *protocol.Reply) {
	n.serve(host, func(w http.ResponseWriter, r *http.Request) {
		n.mu.Lock()
		*log = append(*log, host)
		n.mu.Unlock()
		replies(reply)(w, r)
	})
}

func exchangeReply(leader string, members ...protocol.Member) *protocol.Reply {
	x := &protocol.ExchangeReply{Members: members, Time: 1}
	for _, m := range members {
		if string(m.Node) == leader {
			x.Leader = m.Node
		}
	}
	return &protocol.Reply{Exchange: x}
}

// The members that an answer names are used from then on, the leader first; one
// that does not answer is left aside for a while.
func TestMembersAreLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		var log []string
		all := []protocol.Member{member("a", "http://a"), member("b", "http://b"), member("c", "http://c")}
		for _, h := range []string{"a:80", "b:80", "c:80"} {
			n.site(h, &log, exchangeReply("b", all...))
		}
		r := n.open("http://a")
		send := func(want ...string) {
			t.Helper()
			log = nil
			if _, err := r.Send(t.Context(), []byte("x")); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(log, want) {
				t.Errorf("asked %v, want %v", log, want)
			}
		}
		send("a:80")
		send("b:80")
		n.own.CloseIdleConnections()
		n.mu.Lock()
		delete(n.hosts, "b:80")
		n.mu.Unlock()
		send("a:80") // the leader does not answer
		send("a:80") // and is not asked again at once
		n.site("b:80", &log, exchangeReply("c", all[1:]...))
		time.Sleep(time.Minute)
		send("b:80")
		send("c:80")
		n.own.CloseIdleConnections()
		n.mu.Lock()
		delete(n.hosts, "b:80")
		delete(n.hosts, "c:80")
		n.mu.Unlock()
		send("a:80") // the address that the caller gave stays known
	})
}

// Members outlive the program: the next run is given them.
func TestMembersOfAnEarlierRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		var log []string
		n.site("b:80", &log, exchangeReply(""))
		c := n.config("http://a")
		c.Members = []protocol.Member{member("b", "http://b")}
		r, err := remote.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Send(t.Context(), []byte("x")); err != nil || len(log) != 1 {
			t.Errorf("asked %v, %v; want the member of the earlier run", log, err)
		}
	})
}

// What a coordinator says cannot make this machine talk to itself, or to what
// is no address.
func TestMembersAreChecked(t *testing.T) {
	var many []protocol.Member
	for i := range 1000 {
		many = append(many, member(fmt.Sprint(i), fmt.Sprintf("http://h%d", i)))
	}
	for name, c := range map[string]struct {
		url     string
		members []protocol.Member
		only    bool
		want    int
	}{
		"usual":                         {"http://a", []protocol.Member{member("a", "http://a"), member("b", "https://b:1/x")}, false, 2},
		"no addresses":                  {"http://a", []protocol.Member{member("a", "file:///etc/passwd"), member("b", ""), member("c", "http://u:p@h")}, false, 0},
		"this machine's own":            {"http://a", []protocol.Member{member("a", "http://127.0.0.1:631"), member("b", "http://localhost"), member("c", "http://[::1]"), member("d", "http://0.0.0.0")}, false, 0},
		"this machine's own, in a demo": {"http://127.0.0.1:1", []protocol.Member{member("a", "http://127.0.0.1:2")}, false, 1},
		"the cloud's own":               {"http://a", []protocol.Member{member("a", "http://169.254.169.254")}, false, 0},
		"mapped":                        {"http://a", []protocol.Member{member("a", "http://[::ffff:127.0.0.1]")}, false, 0},
		"elsewhere, in a demo":          {"http://127.0.0.1:1", []protocol.Member{member("a", "http://a"), member("b", "http://127.0.0.1:2")}, true, 1},
		"a thousand":                    {"http://a", many, false, 64},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			defer n.close()
			var log []string
			n.site(map[bool]string{true: "127.0.0.1:1", false: "a:80"}[c.url != "http://a"], &log, exchangeReply("", c.members...))
			cfg := n.config(c.url)
			cfg.LoopbackOnly = c.only
			r, err := remote.Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Send(t.Context(), []byte("x")); err != nil {
				t.Fatal(err)
			}
			if got := r.Members(); len(got) != c.want {
				t.Errorf("%s: learned %v, want %d", name, got, c.want)
			}
		})
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:7420": true, "http://127.9.9.9": true, "http://localhost": true, "http://LOCALHOST:1": true, "http://[::1]:7420": true,
		"http://192.168.1.1": false, "http://example.org": false, "http://127.0.0.1.example.org": false, "nonsense": false, "http://localhost.example.org": false,
	} {
		if got := remote.IsLoopback(address); got != want {
			t.Errorf("%s: got %t, want %t", address, got, want)
		}
	}
}
