package peers

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// callerKey is under what a request's context holds its Peer.
type callerKey struct{}

// WithCaller says in a request's context who makes it.
func WithCaller(ctx context.Context, p Peer) context.Context {
	return context.WithValue(ctx, callerKey{}, p)
}

// CallerOf is who makes a request that came in through Port.HTTP; ok is false
// where it showed no certificate.
func CallerOf(ctx context.Context) (p Peer, ok bool) {
	p, ok = ctx.Value(callerKey{}).(Peer)
	return p, ok && p.Node != ""
}

// connContext makes CallerOf work.
func connContext(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*Conn); ok {
		return WithCaller(ctx, c.Peer())
	}
	return ctx
}

// URL is that of a path on a node, for Client and ClientAt.
func URL(node task.NodeID, path string) string { return "https://" + string(node) + path }

// Client speaks HTTP with members by their names: the host of a URL is a
// node's. resolve says where a node is reached, or "".
func (p *Port) Client(resolve func(task.NodeID) string) *http.Client {
	return &http.Client{Transport: p.transport(resolve)}
}

// ClientAt speaks HTTP with the node of a name, if it is the one at an address.
// Each request connects anew.
func (p *Port) ClientAt(node task.NodeID, address string) *http.Client {
	t := p.transport(func(asked task.NodeID) string {
		if asked == node {
			return address
		}
		return ""
	})
	t.DisableKeepAlives = true
	return &http.Client{Transport: t}
}

func (p *Port) transport(resolve func(task.NodeID) string) *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, DisableCompression: true,
		WriteBufferSize: 64 << 10, ReadBufferSize: 32 << 10, // a batch of blobs goes into few packets
		DialTLSContext: func(ctx context.Context, _, host string) (net.Conn, error) {
			name, _, err := net.SplitHostPort(host)
			if err != nil {
				return nil, err
			}
			node := task.NodeID(name)
			address := resolve(node)
			if address == "" {
				return nil, fmt.Errorf("the address of node %s is not known here", node)
			}
			ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
			defer cancel()
			return p.dial(ctx, node, address, speakHTTP)
		},
	}
}

// Stranger speaks HTTP, without a certificate of its own, with the coordinator
// at an address, to ask it to let a new node join. pin is the fingerprint of
// the cluster's authority, without which nothing is sent; zero is for callers
// who know by other means that nobody stands between.
func Stranger(address string, pin task.Digest, now func() time.Time) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			dialer := tls.Dialer{Config: &tls.Config{
				MinVersion: tls.VersionTLS13, NextProtos: []string{speakHTTP}, Time: now,
				InsecureSkipVerify: true, // VerifyConnection does it
				VerifyConnection: func(s tls.ConnectionState) error {
					if pin.IsZero() {
						return nil
					}
					return protocol.VerifyPin(pin, s.PeerCertificates, now())
				},
			}}
			ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
			defer cancel()
			conn, err := dialer.DialContext(ctx, "tcp", address)
			return conn, plainTLS(err)
		},
	}}
}
