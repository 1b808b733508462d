package gate

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// Attach makes a server that serves the gate's connections, directly or through
// TLS, tell it what becomes of them. Its Handler must be set, and ConnContext if
// there is to be one.
func (g *Gate) Attach(s *http.Server) {
	inner := s.ConnContext
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if inner != nil {
			ctx = inner(ctx, c)
		}
		return context.WithValue(ctx, connKey{}, own(c))
	}
	s.ConnState = func(c net.Conn, now http.ConnState) {
		c0 := own(c)
		switch {
		case c0 == nil:
		case now == http.StateActive:
			c0.enter(busy)
		case now == http.StateIdle:
			c0.enter(idle)
		}
	}
	s.Handler = bodies(s.Handler)
}

type connKey struct{}

// own is the gate's connection that another one lies over; nil: it is not a
// gate's, or not any more.
func own(c net.Conn) *conn {
	for {
		if c0, ok := c.(*conn); ok {
			return c0
		}
		over, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = over.NetConn()
	}
}

// bodies bounds how long a body may take to begin, whether it is read or not:
// net/http itself waits for ever for one that a handler left unread. Handlers
// that read what strangers send set later deadlines; what others send may not
// stand still.
func bodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			c, _ := r.Context().Value(connKey{}).(*conn)
			b := &body{ReadCloser: r.Body, control: http.NewResponseController(w), conn: c}
			b.mayTake(stall)
			if c != nil {
				c.enter(arriving)
			}
			own := *r // net/http looks at the body in its own request, to see how much is left
			own.Body, r = b, &own
		}
		next.ServeHTTP(w, r)
	})
}

// body is a request's body on its way.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	conn    *conn // nil: it is not a stranger's
	ended   bool
}

// mayTake sets the time that is left. A connection without deadlines has none.
func (b *body) mayTake(d time.Duration) { _ = b.control.SetReadDeadline(time.Now().Add(d)) }

// Read reads what has come. At the end there is no deadline any more: net/http
// reads on, to notice when the connection ends, and would take the one for the
// other and cancel what is being done.
func (b *body) Read(p []byte) (int, error) {
	if b.conn == nil && !b.ended {
		b.mayTake(stall)
	}
	n, err := b.ReadCloser.Read(p)
	if b.conn != nil {
		b.conn.came.Add(int64(n))
	}
	if errors.Is(err, io.EOF) && !b.ended {
		b.ended = true
		if b.conn != nil {
			b.conn.enter(busy)
		}
	}
	return n, err
}
