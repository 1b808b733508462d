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
)

// Stream carries raft's messages over TCP. A connection begins with a proof
// that its caller knows the cluster's secret: a node of another cluster, or a
// stranger, that finds the port is turned away before raft reads a byte. It
// does not encrypt: the port belongs on a network of one's own.
type Stream struct {
	listener net.Listener
	proof    [sha256.Size]byte
	address  net.Addr
}

// proofTimeout is how long a caller may take to prove itself.
const proofTimeout = 5 * time.Second

// Listen opens the port for peers. advertise is the address at which they
// reach it.
func Listen(bind, advertise string, secret []byte) (*Stream, error) {
	l, err := net.Listen("tcp", bind)
	if err != nil {
		return nil, fmt.Errorf("listening for other coordinators on %s: %w", bind, err)
	}
	address, err := net.ResolveTCPAddr("tcp", advertise)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("address for other coordinators %q: %w", advertise, err), l.Close())
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("sheaf raft stream 1"))
	s := &Stream{listener: l, address: address}
	mac.Sum(s.proof[:0])
	return s, nil
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
	proof [sha256.Size]byte
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
	var got [sha256.Size]byte
	if _, err := io.ReadFull(c.Conn, got[:]); err != nil {
		return err
	}
	if !hmac.Equal(got[:], c.proof[:]) {
		return fmt.Errorf("%s is not a coordinator of this cluster", c.RemoteAddr())
	}
	return c.SetReadDeadline(time.Time{})
}

// Dial connects to a peer and proves itself.
func (s *Stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", string(address), timeout)
	if err != nil {
		return nil, err
	}
	if err := c.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if _, err := c.Write(s.proof[:]); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, c.SetWriteDeadline(time.Time{})
}

// Addr is where peers reach this node.
func (s *Stream) Addr() net.Addr { return s.address }

// Port is the address that is listened on; its port is the one chosen when 0
// was asked for.
func (s *Stream) Port() string { return s.listener.Addr().String() }

// Close closes the port.
func (s *Stream) Close() error { return s.listener.Close() }
