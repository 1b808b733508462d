package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// hold is a kind of connection that the attacker holds.
type hold struct {
	kind  string
	count int
	inner bool               // at the port for coordinators
	tls   bool               // after a handshake
	head  func(i int) string // what is sent at once; nil: nothing
	drip  string             // what is sent each second after that
	sips  bool               // reads a byte a second
}

// holds are all kinds of them.
func (t *attacker) holds() []hold {
	half, slow := t.Connections*3/10, t.Slow
	text := func(s string) func(int) string { return func(int) string { return s } }
	return []hold{
		{kind: "silent", count: t.Connections - half},
		{kind: "half a head", count: half, head: text("POST " + protocol.PathRequests + " HTTP/1.1\r\nHost: sheaf\r\nContent-Le")},
		{kind: "slow head", count: slow, head: text("GET / HTTP/1.1\r\nHost: sheaf\r\n"), drip: "X-A: b\r\n"},
		{kind: "slow body", count: slow, head: text("POST " + protocol.PathRequests + " HTTP/1.1\r\nHost: sheaf\r\nContent-Length: 60000\r\n\r\n"), drip: "x"},
		{kind: "no body", count: slow, head: text("GET /healthz HTTP/1.1\r\nHost: sheaf\r\nContent-Length: 60000\r\n\r\n")},
		{kind: "slow upload", count: slow / 4, drip: "x", head: func(i int) string {
			digest := task.Sum(fmt.Append(nil, "slow upload ", i))
			return requestHead("PUT", protocol.PathBlobs+digest.String(), t.signedUpload(digest), 1<<20)
		}},
		{kind: "slow reader", count: slow / 4, sips: true, head: text(requestHead("GET", protocol.PathBlobs+t.Large.String(), nil, 0))},
		{kind: "coordinators' port, silent", count: slow, inner: true},
		{kind: "coordinators' port, shaking hands", count: slow, inner: true, tls: true},
	}
}

// requestHead is the head of a request.
func requestHead(method, path string, h http.Header, length int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: sheaf\r\n", method, path)
	_ = h.Write(&b) // a builder takes everything
	if length > 0 {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", length)
	}
	return b.String() + "\r\n"
}

// hold holds one connection of a kind at a time, until ctx ends.
func (t *attacker) hold(ctx context.Context, h hold, i int) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.dials:
		}
		conn, err := t.dial(ctx, h, t.Nodes[i%len(t.Nodes)])
		if err != nil {
			if ctx.Err() == nil {
				t.answered(h.kind, "not let in")
			}
			continue
		}
		t.holding(1)
		answer := h.keep(ctx, conn, i)
		t.holding(-1)
		_ = conn.Close()
		t.answered(h.kind, answer)
	}
}

// holding counts the connections that are held.
func (t *attacker) holding(more int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Held += more
	t.result.Most = max(t.result.Most, t.result.Held)
}

// dial connects to a coordinator.
func (t *attacker) dial(ctx context.Context, h hold, n attackedNode) (net.Conn, error) {
	address := n.Address
	if h.inner {
		address = n.Raft
	}
	dialer := net.Dialer{Timeout: 10 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.result.Opened++
	t.mu.Unlock()
	if h.sips {
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	if !h.tls {
		return conn, nil
	}
	over := tls.Client(conn, strangersTLS())
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := over.HandshakeContext(limited); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return over, nil
}

// strangersTLS is how a stranger speaks with the port for coordinators.
func strangersTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, InsecureSkipVerify: true} // whoever answers is attacked
}

// keep holds a connection until it is closed, and says what came of it.
func (h *hold) keep(ctx context.Context, conn net.Conn, i int) string {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if h.head != nil {
		if _, err := conn.Write([]byte(h.head(i))); err != nil {
			return "closed"
		}
	}
	if h.sips {
		return sip(ctx, conn)
	}
	in, answer := bufio.NewReaderSize(conn, 64), "closed"
	for {
		if h.drip != "" {
			_ = conn.SetReadDeadline(time.Now().Add(time.Second)) // a closed one fails below
		}
		line, err := in.ReadSlice('\n')
		if status, ok := strings.CutPrefix(string(line), "HTTP/1.1 "); ok {
			answer = strings.TrimSpace(status)
		}
		switch {
		case ctx.Err() != nil:
			return "held to the end"
		case errors.Is(err, os.ErrDeadlineExceeded):
			if _, err := conn.Write([]byte(h.drip)); err != nil {
				return answer
			}
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return answer
		}
	}
}

// sip reads an answer by the byte. Bytes that are on their way when the other
// side closes still come, or the connection is reset: it writes, too, to find
// out.
func sip(ctx context.Context, conn net.Conn) string {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for b := make([]byte, 1); ; {
		select {
		case <-ctx.Done():
			return "held to the end"
		case <-tick.C:
		}
		if _, err := conn.Read(b); err != nil {
			return "closed"
		}
		if _, err := conn.Write([]byte("\r\n")); err != nil {
			return "closed"
		}
	}
}
