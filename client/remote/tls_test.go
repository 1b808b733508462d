package remote_test

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// openReal opens a Remote over real connections.
func openReal(t *testing.T, change func(*remote.Config), urls ...string) (*remote.Remote, error) {
	t.Helper()
	c := remote.Config{
		URLs: urls, Patience: time.Millisecond, Random: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	r, err := remote.Open(c)
	if err == nil {
		t.Cleanup(r.Close)
	}
	return r, err
}

// quiet is a server whose log nobody reads.
func quietServer(t *testing.T, secure bool, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func clusterView(t *testing.T, members ...protocol.Member) http.HandlerFunc {
	return text(200, "application/json", asJSON(t, view(members...)))
}

func TestFingerprints(t *testing.T) {
	secure := quietServer(t, true, clusterView(t))
	plain := quietServer(t, false, clusterView(t))
	pin := protocol.Fingerprint(secure.Certificate())
	for name, k := range map[string]struct {
		url  string
		is   error
		says string
	}{
		"the right one":        {url: secure.URL + "/#sha256=" + pin.String()},
		"another one":          {secure.URL + "/#sha256=" + task.Sum(nil).String(), protocol.ErrFingerprint, "ask the operator for the coordinator's address as it is now"},
		"none":                 {secure.URL, protocol.ErrUntrusted, "needs the fingerprint"},
		"plain HTTP to HTTPS":  {"http://" + secure.Listener.Addr().String(), remote.ErrNotCoordinator, "it speaks HTTPS; use the https:// address"},
		"HTTPS to plain HTTP":  {"https://" + plain.Listener.Addr().String(), remote.ErrNotTrusted, "write http:// in place of https://"},
		"a pin for plain HTTP": {"https://" + plain.Listener.Addr().String() + "#sha256=" + pin.String(), remote.ErrNotTrusted, "write http:// in place of https://"},
	} {
		r, err := openReal(t, nil, k.url)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Cluster(t.Context())
		if k.says == "" && err != nil || k.says != "" && (!errors.Is(err, k.is) || !strings.Contains(err.Error(), k.says)) {
			t.Errorf("%s: got %v, want %v with %q", name, err, k.is, k.says)
		}
	}
}

// A fingerprint travels with the members that an answer names: each is enough
// to come back, whatever became of the first.
func TestFingerprintsAreLearned(t *testing.T) {
	second := quietServer(t, true, clusterView(t))
	address := protocol.Address{Base: second.URL, Pin: protocol.Fingerprint(second.Certificate())}
	first := quietServer(t, false, clusterView(t, member("two", address.String())))
	r, err := openReal(t, nil, first.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Cluster(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Close()
	if _, err := r.Cluster(t.Context()); err != nil {
		t.Errorf("by way of the member that was learned: %v", err)
	}
	again, err := openReal(t, func(c *remote.Config) { c.Members = r.Members() }, first.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Cluster(t.Context()); err != nil {
		t.Errorf("after a restart, by way of %v: %v", r.Members(), err)
	}
}

// What was learned of an address before does not outlive a new one that its
// owner gives, nor the other way round.
func TestOldFingerprintBesideANewOne(t *testing.T) {
	server := quietServer(t, true, clusterView(t))
	right := protocol.Address{Base: server.URL, Pin: protocol.Fingerprint(server.Certificate())}
	wrong := protocol.Address{Base: server.URL, Pin: task.Sum([]byte("the one before"))}
	for what, k := range map[string]struct{ learned, given protocol.Address }{"given": {wrong, right}, "learned": {right, wrong}} {
		r, err := openReal(t, func(c *remote.Config) { c.Members = []protocol.Member{member("one", k.learned.String())} }, k.given.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Cluster(t.Context()); err != nil {
			t.Errorf("the one that was %s is right: %v", what, err)
		}
	}
}

// Nobody speaks plain HTTP beyond this machine who did not ask for it.
func TestPlainHTTPStaysHere(t *testing.T) {
	if _, err := openReal(t, nil, "http://coordinator.example"); !errors.Is(err, protocol.ErrBadAddress) || !strings.Contains(err.Error(), "--plain-http") {
		t.Errorf("plain HTTP beyond this machine: got %v, want ErrBadAddress and the flag", err)
	}
	plain := func(c *remote.Config) { c.PlainHTTP = true }
	if _, err := openReal(t, plain, "http://coordinator.example"); err != nil {
		t.Errorf("plain HTTP that was asked for: %v", err)
	}
	members := []protocol.Member{member("a", "http://a.example"), member("b", "https://b.example"), member("c", "http://127.0.0.1:1")}
	for what, k := range map[string]struct {
		change func(*remote.Config)
		want   int
	}{"refused": {func(*remote.Config) {}, 2}, "allowed": {plain, 3}} {
		r, err := openReal(t, func(c *remote.Config) { c.Members = members; k.change(c) }, "http://127.0.0.1:2")
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Members(); len(got) != k.want {
			t.Errorf("plain HTTP is %s: %d members were learned (%v), want %d", what, len(got), got, k.want)
		}
	}
}
