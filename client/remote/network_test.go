package remote_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

var cluster = task.ClusterID{1, 2, 3}

// network connects hosts in memory, with real HTTP between them. It works in a
// synctest bubble, where no time is lost by waiting.
type network struct {
	t       *testing.T
	mu      sync.Mutex
	hosts   map[string]func(net.Conn) // "host:port" → who answers
	servers []*http.Server
	own     *http.Transport
}

func newNetwork(t *testing.T) *network {
	n := &network{t: t, hosts: map[string]func(net.Conn){}}
	n.own = &http.Transport{DialContext: n.dial, DisableCompression: true, MaxIdleConnsPerHost: 4}
	return n
}

// close ends all servers and connections: a bubble waits for them.
func (n *network) close() {
	n.own.CloseIdleConnections()
	for _, s := range n.servers {
		_ = s.Close()
	}
}

func (n *network) dial(_ context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	serve := n.hosts[addr]
	n.mu.Unlock()
	if serve == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.Join(syscall.ECONNREFUSED)}
	}
	here, there := net.Pipe()
	go serve(there)
	return here, nil
}

// serve puts a handler at a host, in place of what was there.
func (n *network) serve(host string, h http.HandlerFunc) {
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	s := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers = append(n.servers, s)
	n.hosts[host] = l.offer
	go func() { _ = s.Serve(l) }()
}

// raw puts something at a host that speaks no HTTP.
func (n *network) raw(host string, serve func(net.Conn)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[host] = serve
}

type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) offer(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		_ = c.Close()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// config is a Remote's, over the network.
func (n *network) config(urls ...string) remote.Config {
	return remote.Config{
		URLs: urls, PlainHTTP: true, Cluster: cluster, Transport: n.own,
		Random: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.DiscardHandler),
	}
}

func (n *network) open(urls ...string) *remote.Remote {
	n.t.Helper()
	r, err := remote.Open(n.config(urls...))
	if err != nil {
		n.t.Fatal(err)
	}
	return r
}

// view is a cluster's own description.
func view(members ...protocol.Member) protocol.ClusterView {
	return protocol.ClusterView{Cluster: cluster, Protocol: protocol.Version, Time: 1000, Node: "a", Members: members}
}

func member(node, url string) protocol.Member {
	return protocol.Member{Node: task.NodeID(node), URL: url}
}

// text answers with a status, a content type and a body.
func text(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// replies answers with a Reply.
func replies(r *protocol.Reply) http.HandlerFunc {
	status := 200
	if r.Error != nil {
		status = r.Error.Code.HTTPStatus()
	}
	return text(status, protocol.ContentType, string(r.Encode()))
}

func done() *protocol.Reply { return &protocol.Reply{Done: &protocol.Done{Time: 7}} }

// hang answers nothing until the other side goes away.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// recorder keeps the bodies of requests, and answers the k-th as the k-th
// handler does, and all later ones as the last.
type recorder struct {
	mu       sync.Mutex
	bodies   []string
	times    []time.Time
	handlers []http.HandlerFunc
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	b, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	r.bodies = append(r.bodies, string(b))
	r.times = append(r.times, time.Now())
	h := r.handlers[min(len(r.bodies), len(r.handlers))-1]
	r.mu.Unlock()
	h(w, q)
}

// drop closes the connection without an answer.
func drop(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
