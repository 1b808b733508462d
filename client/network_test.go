package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// network connects hosts in memory, with real HTTP between them. It works in a
// synctest bubble, where no time is lost by waiting.
type network struct {
	mu      sync.Mutex
	hosts   map[string]func(net.Conn) // "host:port" → who answers
	servers []*http.Server
	own     *http.Transport
}

func newNetwork() *network {
	n := &network{hosts: map[string]func(net.Conn){}}
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
func (n *network) serve(host string, h http.Handler) {
	l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	s := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers = append(n.servers, s)
	n.hosts[host] = l.offer
	go func() { _ = s.Serve(l) }()
}

// cut takes a host off the network, with its connections.
func (n *network) cut(host string) {
	n.mu.Lock()
	delete(n.hosts, host)
	n.mu.Unlock()
	n.own.CloseIdleConnections()
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
