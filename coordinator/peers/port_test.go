package peers_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// today is the day on which these tests take place.
var today = time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)

// clock is a wall clock that tests set.
type clock struct{ unix atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.set(today)
	return c
}

func (c *clock) set(t time.Time) { c.unix.Store(t.Unix()) }
func (c *clock) now() time.Time  { return time.Unix(c.unix.Load(), 0) }

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := peers.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t *testing.T) *peers.Authority {
	t.Helper()
	a, err := peers.NewAuthority(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// node is a port that echoes on its raft side, and answers who calls on the
// other.
type node struct {
	*peers.Port
	clock   *clock
	key     *ecdsa.PrivateKey
	mu      sync.Mutex
	refused map[task.NodeID]bool
}

func newNode(t *testing.T, authority *peers.Authority, name task.NodeID) *node {
	t.Helper()
	n := &node{clock: newClock(), key: newKey(t), refused: map[task.NodeID]bool{}}
	var err error
	n.Port, err = peers.Listen(peers.Config{
		Node: name, Authority: authority, Key: n.key, Vouch: n.vouch, Now: n.clock.now, Logger: slog.New(slog.DiscardHandler),
	}, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(n.serve), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	n.Attach(server)
	done.Go(func() { _ = n.Run(ctx) })
	done.Go(func() { _ = server.Serve(n.HTTP()) })
	done.Go(n.echo)
	t.Cleanup(func() {
		cancel()
		_ = n.Close()
		_ = server.Close()
		done.Wait()
	})
	return n
}

func (n *node) vouch(_ context.Context, p peers.Peer) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refused[p.Node] {
		return fmt.Errorf("node %s was removed: %w", p.Node, peers.ErrNotVouched)
	}
	return nil
}

func (n *node) remove(name task.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused[name] = true
}

func (n *node) serve(w http.ResponseWriter, r *http.Request) {
	p, ok := peers.CallerOf(r.Context())
	fmt.Fprintf(w, "%t %s %s", ok, p.Node, p.Key.Short())
}

func (n *node) echo() {
	for {
		c, err := n.Raft().Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

func (n *node) address() string { return n.Addr().String() }

// say sends a word to a node's raft side and returns what comes back.
func say(c net.Conn, word string) (string, error) {
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	b := make([]byte, len(word))
	_, err := io.ReadFull(c, b)
	return string(b), err
}

func (n *node) call(t *testing.T, to *node, name task.NodeID) (net.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := n.DialRaft(ctx, name, to.address())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	got, err := say(c, "hello")
	if err == nil && got != "hello" {
		t.Errorf("the echo of hello is %q", got)
	}
	return c, err
}

func TestPeersMeetByName(t *testing.T) {
	authority := newAuthority(t)
	n1, n2 := newNode(t, authority, "n1"), newNode(t, authority, "n2")
	if _, err := n1.call(t, n2, "n2"); err != nil {
		t.Fatalf("n1 calls n2: %v", err)
	}
	if _, err := n1.call(t, n2, "n3"); !errors.Is(err, peers.ErrOtherNode) || !strings.Contains(err.Error(), "it is n2, and n3 is meant") {
		t.Errorf("n1 calls n3 at the address of n2: got %v, want ErrOtherNode", err)
	}
	client := n1.Client(func(name task.NodeID) string {
		return map[task.NodeID]string{"n2": n2.address(), "n3": n2.address()}[name]
	})
	defer client.CloseIdleConnections()
	fingerprint, err := peers.FingerprintOf(n1.key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := get(client, peers.URL("n2", "/")); err != nil || got != "true n1 "+fingerprint.Short() {
		t.Errorf("n2 takes the caller for %q, %v; want n1 with its key", got, err)
	}
	if _, err := get(client, peers.URL("n3", "/")); !errors.Is(err, peers.ErrOtherNode) {
		t.Errorf("HTTP to n3 at the address of n2: got %v, want ErrOtherNode", err)
	}
	if _, err := get(client, peers.URL("n4", "/")); err == nil || !strings.Contains(err.Error(), "the address of node n4 is not known") {
		t.Errorf("HTTP to a node that nobody knows: %v", err)
	}
}

func get(c *http.Client, url string) (string, error) {
	res, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// A node of another cluster is told so, whichever of the two calls.
func TestOtherClusterIsRefused(t *testing.T) {
	ours, theirs := newNode(t, newAuthority(t), "n1"), newNode(t, newAuthority(t), "n1")
	for what, call := range map[string]func() (net.Conn, error){
		"we call them": func() (net.Conn, error) { return ours.call(t, theirs, "n1") },
		"they call us": func() (net.Conn, error) { return theirs.call(t, ours, "n1") },
	} {
		if _, err := call(); !errors.Is(err, peers.ErrOtherCluster) || !strings.Contains(err.Error(), "this cluster's is") {
			t.Errorf("%s: got %v, want ErrOtherCluster with both authorities", what, err)
		}
	}
}

// A certificate for clients is none for peers, although the same authority
// made it.
func TestSiteCertificateIsNoNodes(t *testing.T) {
	authority := newAuthority(t)
	n1 := newNode(t, authority, "n1")
	site, err := peers.NewSite(authority, []string{"localhost"}, newClock().now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := site.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := speakRaft(n1, c); err == nil {
		t.Error("a certificate of a site was taken for that of a node")
	}
}

func TestEndedCertificateIsRefused(t *testing.T) {
	authority := newAuthority(t)
	n1, n2 := newNode(t, authority, "n1"), newNode(t, authority, "n2")
	n1.clock.set(today.Add(31 * 24 * time.Hour)) // n2's certificate is of 30 days, by its own clock
	if _, err := n1.call(t, n2, "n2"); !errors.Is(err, protocol.ErrOutOfDate) || !strings.Contains(err.Error(), "clocks") {
		t.Errorf("a node whose clock is a month behind: got %v, want ErrOutOfDate", err)
	}
	n1.clock.set(today.Add(-2 * 24 * time.Hour))
	if _, err := n1.call(t, n2, "n2"); !errors.Is(err, protocol.ErrOutOfDate) {
		t.Errorf("a node whose clock is two days ahead: got %v, want ErrOutOfDate", err)
	}
	n1.clock.set(today.Add(23 * time.Hour))
	if _, err := n1.call(t, n2, "n2"); err != nil {
		t.Errorf("clocks that differ by less than a day: %v", err)
	}
}

// Certificates are made anew before they end, and connections live on.
func TestRenewalWhileConnected(t *testing.T) {
	authority := newAuthority(t)
	n1, n2 := newNode(t, authority, "n1"), newNode(t, authority, "n2")
	old, err := n1.call(t, n2, "n2")
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		c, err := n1.call(t, n2, "n2")
		if err != nil {
			t.Fatal(err)
		}
		return c.(*peers.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	for _, k := range []struct {
		days  int
		fresh bool
	}{{19, false}, {20, true}, {45, true}, {100, true}, {1000, true}} {
		n1.clock.set(today.Add(time.Duration(k.days) * 24 * time.Hour))
		n2.clock.set(today.Add(time.Duration(k.days)*24*time.Hour + time.Minute))
		if got := serial(); (got != first) != k.fresh {
			t.Errorf("after %d days the certificate is another one: %t, want %t", k.days, got != first, k.fresh)
		} else {
			first = got
		}
		if _, err := say(old, "still there"); err != nil {
			t.Errorf("after %d days the first connection: %v", k.days, err)
		}
	}
}

// A removed node is shut out although its certificate is good: when it calls,
// when it is called, and while it is connected.
func TestRemovedNodeIsShutOut(t *testing.T) {
	authority := newAuthority(t)
	n1, n2 := newNode(t, authority, "n1"), newNode(t, authority, "n2")
	open, err := n2.call(t, n1, "n1")
	if err != nil {
		t.Fatal(err)
	}
	n1.remove("n2")
	if _, err := n1.call(t, n2, "n2"); !errors.Is(err, peers.ErrNotVouched) {
		t.Errorf("calling it: got %v, want ErrNotVouched", err)
	}
	if _, err := n2.call(t, n1, "n1"); err == nil {
		t.Error("it was let in again")
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, err = say(open, "x"); err == nil; _, err = say(open, "x") {
		if time.Now().After(deadline) {
			t.Fatal("10 s after its removal it is still connected")
		}
	}
}

// Somebody without a certificate may ask to join, and do nothing else.
func TestStrangers(t *testing.T) {
	authority := newAuthority(t)
	n1 := newNode(t, authority, "n1")
	stranger := peers.Stranger(n1.address(), authority.Fingerprint(), n1.clock.now)
	if got, err := get(stranger, peers.URL("n1", "/")); err != nil || got != "false  "+(task.Digest{}).Short() {
		t.Errorf("a stranger is taken for %q, %v", got, err)
	}
	wrong := peers.Stranger(n1.address(), task.Sum([]byte("another")), n1.clock.now)
	if _, err := get(wrong, peers.URL("n1", "/")); !errors.Is(err, protocol.ErrFingerprint) {
		t.Errorf("a stranger who looks for another cluster: got %v, want ErrFingerprint", err)
	}
	if err := speakRaft(n1, nil); err == nil {
		t.Error("a stranger may speak raft")
	}
	res, err := http.Get("http://" + n1.address() + "/v1/cluster")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || !strings.Contains(string(b), "port for other coordinators") {
		t.Errorf("plain HTTP to the port for coordinators: %q, %v; want that it says what it is", b, err)
	}
}

// Who calls and says nothing holds up nobody.
func TestSilentCallersHoldUpNobody(t *testing.T) {
	authority := newAuthority(t)
	n1, n2 := newNode(t, authority, "n1"), newNode(t, authority, "n2")
	for range 100 {
		c, err := net.Dial("tcp", n1.address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if _, err := n2.call(t, n1, "n1"); err != nil {
		t.Errorf("beside a hundred silent callers: %v", err)
	}
}

// Long messages arrive whole, in both directions at once.
func TestLongMessages(t *testing.T) {
	authority := newAuthority(t)
	n1, n2 := newNode(t, authority, "n1"), newNode(t, authority, "n2")
	c, err := n1.call(t, n2, "n2")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 100_000, 256 << 10, 3 << 20} {
		message := make([]byte, size)
		for i := range message {
			message[i] = byte(i * 31 >> 3)
		}
		sent := make(chan error, 1)
		go func() {
			_, err := c.Write(message)
			sent <- err
		}()
		back := make([]byte, size)
		if _, err := io.ReadFull(c, back); err != nil || !bytes.Equal(back, message) {
			t.Fatalf("%d bytes came back as others (%v)", size, err)
		}
		if err := <-sent; err != nil {
			t.Fatalf("sending %d bytes: %v", size, err)
		}
	}
}
