package remote_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whoever gives a wrong address is told what is wrong with it.
func TestNoAddress(t *testing.T) {
	n := newNetwork(t)
	for _, text := range []string{
		"", "foo", "coordinator.example.org", "coordinator:7420", "ftp://a", "http://", "http://user:pw@a", "http://a?x=1",
		"http://a b", "://", "http://[::1", "/a/b", "https:a", "http://:7420", "http://" + strings.Repeat("a", 600),
	} {
		_, err := remote.Open(n.config(text))
		if !errors.Is(err, protocol.ErrBadAddress) || !strings.Contains(err.Error(), "write it like https://") {
			t.Errorf("%q: got %v, want ErrBadAddress and an example", text, err)
		}
	}
	pin := strings.Repeat("ab", 32)
	for text, says := range map[string]string{
		"https://a#b": "64 hexadecimal digits", "https://a/#sha256=": "64 hexadecimal digits", "https://a/#sha256=" + pin[1:]: "64 hexadecimal digits",
		"https://a/#sha256=" + strings.Repeat("0", 64): "64 hexadecimal digits", "http://a/#sha256=" + pin: "begins with https://",
	} {
		if _, err := remote.Open(n.config(text)); !errors.Is(err, protocol.ErrBadAddress) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %v, want ErrBadAddress and %q", text, err, says)
		}
	}
	if _, err := remote.Open(n.config()); !errors.Is(err, protocol.ErrBadAddress) {
		t.Errorf("no address: %v", err)
	}
	for _, text := range []string{"http://a", " https://a.example:7420/ ", "http://127.0.0.1:80/sheaf", "http://[::1]:7420", "https://a:1/#sha256=" + pin, "https://a#sha256=" + strings.ToUpper(pin)} {
		if _, err := remote.Open(n.config(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	c := n.config("http://127.0.0.1:1", "http://example.org")
	c.LoopbackOnly = true
	if _, err := remote.Open(c); !errors.Is(err, protocol.ErrBadAddress) {
		t.Errorf("an address elsewhere where only this machine's own may be: %v", err)
	}
}

func TestWrongAddress(t *testing.T) {
	other := view()
	other.Cluster = task.ClusterID{9}
	fresh := view()
	fresh.Cluster = task.ClusterID{}
	newer := view()
	newer.Protocol = 99
	negative := view()
	negative.Time = -1
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		raw   func(net.Conn)
		is    error
		says  string
	}{
		"nobody there":        {is: remote.ErrUnreachable, says: "connection refused"},
		"a web page":          {serve: text(200, "text/html; charset=utf-8", "<h1>Welcome</h1>"), is: remote.ErrNotCoordinator, says: "200 OK, text/html"},
		"nothing of the kind": {serve: http.NotFound, is: remote.ErrNotCoordinator, says: "404 Not Found"},
		"a form to log in":    {serve: text(302, "text/html", ""), is: remote.ErrNotCoordinator, says: "moved"},
		"another program":     {serve: text(200, "application/json", `{"status":"ok"}`), is: remote.ErrNotCoordinator, says: "which protocol"},
		"a list":              {serve: text(200, "application/json", `[1,2]`), is: remote.ErrMalformed, says: "array"},
		"a broken proxy":      {serve: text(502, "text/html", "bad gateway"), is: remote.ErrUnreachable, says: "502"},
		"no web server":       {raw: banner, is: remote.ErrNotCoordinator, says: "something else"},
		"hangs up":            {raw: func(c net.Conn) { _ = c.Close() }, is: remote.ErrUnreachable, says: "http://a"},
		"never answers":       {serve: hang, is: remote.ErrUnreachable, says: "in time"},
		"another cluster":     {serve: text(200, "application/json", asJSON(t, other)), is: remote.ErrOtherCluster, says: other.Cluster.String()},
		"no cluster yet":      {serve: text(200, "application/json", asJSON(t, fresh)), is: remote.ErrUnreachable, says: "is starting"},
		"another protocol":    {serve: text(200, "application/json", asJSON(t, newer)), says: "update the older of the two"},
		"a negative time":     {serve: text(200, "application/json", asJSON(t, negative)), is: remote.ErrMalformed, says: "time"},
		"a huge answer":       {serve: text(200, "application/json", "["+strings.Repeat("1,", 1<<20)+"1]"), is: remote.ErrMalformed, says: "more than"},
		"an endless answer":   {serve: endless, is: remote.ErrMalformed, says: "more than"},
		"deep JSON":           {serve: text(200, "application/json", strings.Repeat("[", 500_000)), is: remote.ErrMalformed, says: "depth"},
		"a refusal":           {serve: text(429, "application/json", `{"code":13,"error":"too much\u001b[31m today"}`), says: "too much [31m today"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				defer n.close()
				if c.serve != nil {
					n.serve("a:80", c.serve)
				} else if c.raw != nil {
					n.raw("a:80", c.raw)
				}
				r := n.open("http://a")
				_, err := r.Cluster(t.Context())
				if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want %v with %q", err, c.is, c.says)
				}
				if r.Trouble() == "" || !strings.HasSuffix(r.Trouble(), ".") {
					t.Errorf("its trouble is %q, want a sentence", r.Trouble())
				}
			})
		})
	}
}

// banner is a server of another kind.
func banner(c net.Conn) {
	_, _ = c.Read(make([]byte, 4096))
	_, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n"))
	_, _ = c.Read(make([]byte, 1))
	_ = c.Close()
}

func endless(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	for {
		if _, err := w.Write([]byte(strings.Repeat(" ", 1<<16))); err != nil {
			return
		}
	}
}

func TestClusterAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		n.serve("b:7420", text(200, "application/json", asJSON(t, view(member("a", "http://a"), member("b", "http://b:7420")))))
		c := n.config("http://a", "http://b:7420")
		c.Cluster = task.ClusterID{}
		r, err := remote.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.Cluster(t.Context())
		if err != nil || v.Cluster != cluster || r.ClusterID() != cluster || len(r.Members()) != 2 || r.Trouble() != "" {
			t.Errorf("got %+v, %v; cluster %s, members %v, trouble %q", v, err, r.ClusterID(), r.Members(), r.Trouble())
		}
	})
}

// The same bytes are sent until somebody answers (R2).
func TestSameBytesAgain(t *testing.T) {
	noLeader := replies(&protocol.Reply{Error: protocol.Refuse(protocol.CodeNoLeader, "choosing")})
	busy := replies(&protocol.Reply{Error: &protocol.Error{Code: protocol.CodeOverloaded, Text: "later", RetryMillis: 5000}})
	for name, failures := range map[string][]http.HandlerFunc{
		"a leader is chosen":   {noLeader, noLeader, noLeader},
		"too much to do":       {busy, busy},
		"connections break":    {drop, drop, drop, drop},
		"a proxy in between":   {text(503, "text/html", "down"), text(404, "text/html", "gone"), text(200, "text/html", "welcome")},
		"garbage":              {text(200, protocol.ContentType, "garbage"), text(500, protocol.ContentType, "garbage")},
		"no answer in it":      {replies(&protocol.Reply{})},
		"two answers in it":    {replies(&protocol.Reply{Done: &protocol.Done{}, Exchange: &protocol.ExchangeReply{}})},
		"a huge answer":        {text(200, protocol.ContentType, strings.Repeat("x", protocol.MaxReply+4096))},
		"a fault over there":   {replies(&protocol.Reply{Error: protocol.Refuse(protocol.CodeInternal, "oops")})},
		"a code to come":       {replies(&protocol.Reply{Error: protocol.Refuse(200, "new")})},
		"no room over there":   {replies(&protocol.Reply{Error: protocol.Refuse(protocol.CodeNoSpace, "full")})},
		"an answer never ends": {hang},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				defer n.close()
				rec := &recorder{handlers: append(failures, replies(done()))}
				n.serve("a:80", rec.ServeHTTP)
				reply, err := n.open("http://a").Send(t.Context(), []byte("the bytes"))
				if err != nil || reply.Done == nil || reply.Done.Time != 7 {
					t.Fatalf("got %+v, %v", reply, err)
				}
				if len(rec.bodies) != len(failures)+1 {
					t.Errorf("sent %d times, want %d", len(rec.bodies), len(failures)+1)
				}
				for i, b := range rec.bodies {
					if b != "the bytes" {
						t.Errorf("try %d sent %q", i, b)
					}
				}
				if name == "too much to do" && rec.times[1].Sub(rec.times[0]) < 5*time.Second {
					t.Errorf("asked to come back in 5 s, it came after %v", rec.times[1].Sub(rec.times[0]))
				}
			})
		})
	}
}

func TestRefusalIsFinal(t *testing.T) {
	for code := protocol.CodeMalformed; code <= protocol.CodeInternal; code++ {
		refusal := protocol.Refuse(code, "no")
		if refusal.Temporary() || code == protocol.CodeNotFound || code == protocol.CodeWrongCluster {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			defer n.close()
			rec := &recorder{handlers: []http.HandlerFunc{replies(&protocol.Reply{Error: refusal})}}
			n.serve("a:80", rec.ServeHTTP)
			if _, err := n.open("http://a").Send(t.Context(), []byte("x")); !protocol.HasCode(err, code) || len(rec.bodies) != 1 {
				t.Errorf("code %d: got %v after %d tries, want the refusal after 1", code, err, len(rec.bodies))
			}
		})
	}
	n := newNetwork(t)
	if _, err := n.open("http://a").Send(t.Context(), make([]byte, protocol.MaxEnvelope+1)); !protocol.HasCode(err, protocol.CodeTooLarge) {
		t.Errorf("a request that is too large: %v", err)
	}
}

// A coordinator that has just come up does not know its cluster yet; that is
// no reason to give up. One of another cluster is.
func TestWrongClusterIsLookedInto(t *testing.T) {
	wrong := replies(&protocol.Reply{Error: protocol.Refuse(protocol.CodeWrongCluster, "this is cluster 0")})
	for name, c := range map[string]struct {
		is   task.ClusterID
		want error
	}{
		"coming up":          {task.ClusterID{}, context.DeadlineExceeded},
		"has just come up":   {view().Cluster, context.DeadlineExceeded},
		"belongs to another": {task.ClusterID{9}, remote.ErrOtherCluster},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			defer n.close()
			v := view()
			v.Cluster = c.is
			n.serve("a:80", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == protocol.PathCluster {
					text(200, "application/json", asJSON(t, v))(w, r)
					return
				}
				wrong(w, r)
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := n.open("http://a").Send(ctx, []byte("x")); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		})
	}
}

// Where one address belongs to another cluster and the others do not answer,
// that is an outage.
func TestOneOfAnotherClusterAmongSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		other := view()
		other.Cluster[0]++
		n.serve("b:80", text(200, "application/json", asJSON(t, other)))
		r := n.open("http://a", "http://b")
		if _, err := r.Cluster(t.Context()); errors.Is(err, remote.ErrOtherCluster) || !errors.Is(err, remote.ErrUnreachable) || !strings.Contains(err.Error(), "another cluster") {
			t.Errorf("got %v, want ErrUnreachable, and a word about the other cluster", err)
		}
	})
}

func TestEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		defer n.close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		r := n.open("http://a")
		_, err := r.Send(ctx, []byte("x"))
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, remote.ErrUnreachable) || time.Since(began) != time.Hour {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if !strings.Contains(r.Trouble(), "No coordinator answers at http://a") {
			t.Errorf("trouble %q", r.Trouble())
		}
		c := n.config("http://a")
		c.Patience = 20 * time.Second
		if r, err = remote.Open(c); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		_, err = r.Send(t.Context(), []byte("x"))
		if d := time.Since(began); !errors.Is(err, remote.ErrUnreachable) || d > 20*time.Second || d < 5*time.Second {
			t.Errorf("with patience for 20 s, after %v: %v", d, err)
		}
	})
}
