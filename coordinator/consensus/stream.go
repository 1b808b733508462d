package consensus

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/task"
)

// Stream carries raft's messages over TCP. A connection begins with a proof
// that its caller knows the cluster's secret and means this node by name: a
// node of another cluster, or a stranger, that finds the port is turned away
// before raft reads a byte, and so is a peer that takes this node for the one
// that was at its address before. It does not encrypt: the port belongs on a
// network of one's own.
type Stream struct {
	listener net.Listener
	secret   []byte
	proof    proof // what callers show
	address  peerAddress
}

// proof is what a caller shows to the node that it means.
type proof [sha256.Size]byte

func proofFor(secret []byte, recipient task.NodeID) (p proof) {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("sheaf raft stream 2 " + string(recipient)))
	mac.Sum(p[:0])
	return p
}

// proofTimeout is how long a caller may take to prove itself.
const proofTimeout = 5 * time.Second

// Listen opens the port of a node for its peers. advertise is the address at
// which they reach it.
func Listen(node task.NodeID, bind, advertise string, secret []byte) (*Stream, error) {
	l, err := net.Listen("tcp", bind)
	if err != nil {
		return nil, fmt.Errorf("listening for other coordinators on %s: %w", bind, err)
	}
	if _, err := net.ResolveTCPAddr("tcp", advertise); err != nil {
		return nil, errors.Join(fmt.Errorf("address for other coordinators %q: %w", advertise, err), l.Close())
	}
	return &Stream{
		listener: l, secret: secret, proof: proofFor(secret, node), address: peerAddress(namedAddress(node, advertise)),
	}, nil
}

// Accept waits for a caller. Its proof is read with its first message, on the
// goroutine that serves it, so that a silent stranger holds up nobody.
func (s *Stream) Accept() (net.Conn, error) {
	c, err := s.listener.Accept()
	if err != nil {
		return nil, err
	}
	return &provenConn{Conn: c, proof: s.proof}, nil
}

// provenConn is a connection that reads nothing before its caller's proof.
// raft reads and writes each connection from one goroutine.
type provenConn struct {
	net.Conn
	proof proof
	ok    bool
}

// Read reads what follows the proof.
func (c *provenConn) Read(b []byte) (int, error) {
	if !c.ok {
		if err := c.prove(); err != nil {
			return 0, errors.Join(err, c.Close())
		}
		c.ok = true
	}
	return c.Conn.Read(b)
}

func (c *provenConn) prove() error {
	if err := c.SetReadDeadline(time.Now().Add(proofTimeout)); err != nil {
		return err
	}
	var got proof
	if _, err := io.ReadFull(c.Conn, got[:]); err != nil {
		return err
	}
	if !hmac.Equal(got[:], c.proof[:]) {
		return fmt.Errorf("%s is not a coordinator of this cluster, or means another node", c.RemoteAddr())
	}
	return c.SetReadDeadline(time.Time{})
}

// Dial connects to the node that an address names, and proves itself.
func (s *Stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	node, hostPort, err := splitAddress(address)
	if err != nil {
		return nil, err
	}
	c, err := net.DialTimeout("tcp", hostPort, timeout)
	if err != nil {
		return nil, err
	}
	if err := c.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	p := proofFor(s.secret, node)
	if _, err := c.Write(p[:]); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, c.SetWriteDeadline(time.Time{})
}

// Addr is where peers reach this node, with its name.
func (s *Stream) Addr() net.Addr { return s.address }

// Port is the address that is listened on; its port is the one chosen when 0
// was asked for.
func (s *Stream) Port() string { return s.listener.Addr().String() }

// Close closes the port.
func (s *Stream) Close() error { return s.listener.Close() }
