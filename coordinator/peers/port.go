package peers

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/internal/gate"
	"github.com/sheafgrid/sheaf/task"
)

// What a caller may want to speak, as the handshake names it.
const (
	speakRaft = "sheaf-raft/1"
	speakHTTP = "http/1.1"
)

// handshakeTimeout is how long a stranger may take to prove who it is.
const handshakeTimeout = 5 * time.Second

// How many callers there may be at a time that have not proved, with a
// certificate, to be of the cluster: all of them, and those of one address.
// They are at their handshake, or ask to join.
const (
	maxStrangers        = 4096
	maxStrangersPerHost = 64
)

// Config is what a Port is made of.
type Config struct {
	Node      task.NodeID
	Authority *Authority
	Key       *ecdsa.PrivateKey // the node's own, for as long as it has its name

	// Vouch says why a node that proved its name and key may not take part, or
	// nil. It is asked for each connection, and about once a second while one is
	// used. Its errors should wrap ErrNotVouched.
	Vouch func(context.Context, Peer) error

	Now    func() time.Time // wall clock, which certificates are compared with
	Logger *slog.Logger
}

// Port is where a node's peers reach it, and through which it reaches them.
type Port struct {
	cfg      Config
	own      *renewing
	listener net.Listener
	server   *tls.Config

	gate       *gate.Gate // counts those who have not proved to be of the cluster
	raft, http *entrance
	complaints complaints
}

// Listen opens the port. Nobody is let in before Run.
func Listen(cfg Config, bind string) (*Port, error) {
	p := &Port{cfg: cfg, own: newCredentials(&cfg)}
	p.raft, p.http = newEntrance(p), newEntrance(p)
	if _, err := p.own.get(); err != nil {
		return nil, err
	}
	p.server = &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{speakRaft, speakHTTP}, Time: cfg.Now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.own.get() },
		ClientAuth:     tls.RequestClientCert, SessionTicketsDisabled: true, DynamicRecordSizingDisabled: true,
		VerifyConnection: p.verifyCaller,
	}
	var err error
	if p.listener, err = net.Listen("tcp", bind); err != nil {
		return nil, fmt.Errorf("listening for other coordinators on %s: %w", bind, err)
	}
	p.gate = gate.New(p.listener, gate.Config{Limit: gate.Most(maxStrangers), PerHost: maxStrangersPerHost, Logger: cfg.Logger})
	return p, nil
}

// verifyCaller checks the certificate of who calls. Without one it may go on
// to ask to join, over HTTP.
func (p *Port) verifyCaller(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		if s.NegotiatedProtocol == speakRaft {
			return errors.New("it shows no certificate")
		}
		return nil
	}
	_, err := p.cfg.Authority.identify(s.PeerCertificates, p.cfg.Now())
	return err
}

// Run lets peers in until ctx or the port ends.
func (p *Port) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = p.listener.Close() })
	defer stop()
	var handshakes sync.WaitGroup
	defer handshakes.Wait()
	for {
		conn, err := p.gate.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			if p.complaints.due() {
				p.cfg.Logger.Warn("a peer could not be let in", "error", err)
			}
			pause(ctx, 50*time.Millisecond)
			continue
		}
		handshakes.Go(func() { p.welcome(ctx, conn) })
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// welcome shakes hands with who calls, and hands the connection to who serves
// it.
func (p *Port) welcome(ctx context.Context, raw net.Conn) {
	line := newLine(raw)
	conn := tls.Server(line, p.server)
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		p.turnAway(raw, err)
		return
	}
	state := conn.ConnectionState()
	to := p.http
	if state.NegotiatedProtocol == speakRaft {
		to = p.raft
	}
	proven := &Conn{Conn: conn, line: line, port: p}
	if len(state.PeerCertificates) > 0 {
		proven.peer = peerOf(state.PeerCertificates[0])
		line.known()
	}
	if proven.raft = to == p.raft; proven.raft {
		if err := proven.vouch(ctx); err != nil {
			if p.complaints.due() {
				p.cfg.Logger.Warn("a node was turned away", "node", proven.peer.Node, "from", raw.RemoteAddr(), "why", err)
			}
			_ = conn.Close()
			return
		}
	}
	select {
	case to.in <- proven:
	case <-to.closed:
		_ = conn.Close()
	case <-ctx.Done():
		_ = conn.Close() // nobody serves it in time
	}
}

// plainAnswer is for who takes this port for that of clients.
const plainAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" +
	"This is a coordinator's port for other coordinators. Clients, and --join, use the other one, which is 1000 lower unless --raft says otherwise.\n"

// turnAway tells somebody who speaks plain HTTP what this port is, and the log
// about others.
func (p *Port) turnAway(raw net.Conn, err error) {
	var record tls.RecordHeaderError
	if errors.As(err, &record) && record.Conn != nil && looksLikeHTTP(record.RecordHeader) {
		_ = raw.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = raw.Write([]byte(plainAnswer)) // it is a courtesy
	}
	p.cfg.Logger.Debug("somebody was turned away from the port for coordinators", "from", raw.RemoteAddr(), "why", err)
	if errors.Is(err, ErrOtherCluster) && p.complaints.due() {
		p.cfg.Logger.Warn("a coordinator of another cluster calls", "from", raw.RemoteAddr(), "why", err)
	}
	_ = raw.Close()
}

func looksLikeHTTP(header [5]byte) bool {
	switch strings.TrimSpace(string(header[:])) {
	case "GET /", "HEAD", "POST", "PUT /", "OPTIO", "PATCH", "DELET":
		return true
	}
	return false
}

// Attach sets up the server of Port.HTTP: CallerOf works, and callers without a
// certificate are bounded in number.
func (p *Port) Attach(s *http.Server) {
	s.ConnContext = connContext
	p.gate.Attach(s)
}

// Addr is the address that is listened on.
func (p *Port) Addr() net.Addr { return p.listener.Addr() }

// Close closes the port. Connections that were handed out stay with their
// owners.
func (p *Port) Close() error {
	err := p.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, p.raft.Close(), p.http.Close())
}

// Raft is where peers that speak raft come in.
func (p *Port) Raft() net.Listener { return p.raft }

// HTTP is where callers that speak HTTP come in, with a certificate (CallerOf
// says whose) or without.
func (p *Port) HTTP() net.Listener { return p.http }

// entrance is one of a port's two.
type entrance struct {
	port    *Port
	in      chan net.Conn
	closed  chan struct{}
	closing sync.Once
}

func newEntrance(p *Port) *entrance {
	return &entrance{port: p, in: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for a caller that has proved who it is.
func (e *entrance) Accept() (net.Conn, error) {
	select {
	case c := <-e.in:
		return c, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

// Close closes the entrance; the port stays open for the other one.
func (e *entrance) Close() error {
	e.closing.Do(func() { close(e.closed) })
	return nil
}

// Addr is the address that is listened on.
func (e *entrance) Addr() net.Addr { return e.port.Addr() }
