package peers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// vouchEvery is how often a connection asks whether its peer is still a member.
const vouchEvery = time.Second

// Conn is an encrypted connection with a peer. Where raft is spoken its Read
// fails when the peer is no member any more. One goroutine
// reads at a time, and one writes.
type Conn struct {
	*tls.Conn
	line *line
	port *Port
	peer Peer // zero: it showed no certificate
	raft bool // raft is spoken; for HTTP, each request is looked at by who serves it

	vouched time.Time // when it was asked about last; used by who reads
}

// Peer is who is at the other end; zero if it showed no certificate.
func (c *Conn) Peer() Peer { return c.peer }

// Read reads what the peer says, as long as it is a member.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.raft && err == nil && time.Since(c.vouched) >= vouchEvery {
		if err := c.vouch(context.Background()); err != nil {
			return 0, errors.Join(err, c.Close())
		}
	}
	return n, err
}

// Write sends a message.
func (c *Conn) Write(b []byte) (int, error) {
	if len(b) <= oneRecord {
		return c.Conn.Write(b)
	}
	c.line.gather()
	n, err := c.Conn.Write(b)
	if e := c.line.release(); err == nil {
		err = e
	}
	return n, err
}

// vouch asks whether the peer may take part.
func (c *Conn) vouch(ctx context.Context) error {
	defer func() { c.vouched = time.Now() }()
	return c.port.cfg.Vouch(ctx, c.peer)
}

func peerOf(leaf *x509.Certificate) Peer {
	return Peer{Node: task.NodeID(leaf.Subject.CommonName), Key: protocol.Fingerprint(leaf)}
}

// DialRaft connects to a node, by its name, at an address, to speak raft.
func (p *Port) DialRaft(ctx context.Context, node task.NodeID, address string) (net.Conn, error) {
	return p.dial(ctx, node, address, speakRaft)
}

// dial connects to a node, and makes sure that it is the one that is meant and
// that it is a member.
func (p *Port) dial(ctx context.Context, node task.NodeID, address, speak string) (net.Conn, error) {
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	var peer Peer
	line := newLine(raw)
	line.known()
	conn := tls.Client(line, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{speak}, Time: p.cfg.Now, ServerName: string(node),
		DynamicRecordSizingDisabled: true,
		GetClientCertificate:        func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.own.get() },
		InsecureSkipVerify:          true, // VerifyConnection does it: names here are those of nodes
		VerifyConnection: func(s tls.ConnectionState) (err error) {
			if peer, err = p.cfg.Authority.identify(s.PeerCertificates, p.cfg.Now()); err != nil {
				return err
			}
			if peer.Node != node {
				return fmt.Errorf("%w: it is %s, and %s is meant", ErrOtherNode, peer.Node, node)
			}
			return p.cfg.Vouch(ctx, peer)
		},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("node %s at %s: %w", node, address, errors.Join(plainTLS(err), raw.Close()))
	}
	return &Conn{Conn: conn, line: line, port: p, peer: peer, raft: speak == speakRaft, vouched: time.Now()}, nil
}

// plainTLS says in words what a handshake with something that speaks no TLS
// comes to.
func plainTLS(err error) error {
	var record tls.RecordHeaderError
	if errors.As(err, &record) {
		return errors.New("what answers there is no coordinator's port for coordinators; see that the address is that of --raft")
	}
	return err
}
