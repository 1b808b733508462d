package gate

import (
	"cmp"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// phase is what a connection waits for.
type phase int32

// The phases, in the order in which their connections are closed to make room.
const (
	silent   phase = iota // for its first request's head
	idle                  // for its next request's head
	arriving              // for a request's body
	sending               // for the reader of an answer
	busy                  // for nobody but us
)

// What is asked of who is connected.
const (
	// stall is how long an answer, or a body, may stand still.
	stall = 30 * time.Second
	// minRate is how many bytes a second an answer must be taken at, in the
	// long run.
	minRate = 1 << 10
	// slowRate is how many bytes a second a body must come at, so that it is not
	// closed when room is needed; slowAfter is how long it has to get there, and
	// how long an answer may wait for its reader.
	slowRate  = 8 << 10
	slowAfter = time.Second
)

// conn is a connection of a gate.
type conn struct {
	net.Conn
	gate *Gate
	host netip.Addr

	phase    atomic.Int32
	since    atomic.Int64 // when the phase began (Gate.now)
	came     atomic.Int64 // bytes of the body
	blocked  atomic.Int64 // since when a Write waits; 0: none does
	patience atomic.Int64 // how long, in ns, writing may still take
}

// enter notes that a phase begins.
func (c *conn) enter(p phase) {
	c.since.Store(c.gate.now())
	c.phase.Store(int32(p))
	switch p {
	case silent, busy:
		c.patience.Store(int64(stall))
	case arriving:
		c.came.Store(0)
	}
}

// delay is a connection that keeps the port waiting.
type delay struct {
	conn  *conn
	phase phase
	since int64
}

func (d delay) compare(other delay) int {
	return cmp.Or(cmp.Compare(d.phase, other.phase), cmp.Compare(d.since, other.since))
}

// delays says what for and since when a connection keeps the port waiting; ok
// is false for one that does not, or not longer than it should.
func (c *conn) delays(now int64) (d delay, ok bool) {
	d = delay{conn: c, phase: phase(c.phase.Load()), since: c.since.Load()}
	if since := c.blocked.Load(); since > 0 {
		d.phase, d.since = sending, since
	}
	lasts := now - d.since
	switch d.phase {
	case silent, idle:
		return d, true
	case arriving:
		return d, lasts > int64(slowAfter) && c.came.Load() < lasts/int64(time.Second/slowRate)
	case sending:
		return d, lasts > int64(slowAfter)
	}
	return d, false
}

// piece is how much is written at a time, at most: at minRate it takes about as
// long as an answer may stand still.
const piece = 32 << 10

// Write sends a part of an answer. It fails where that takes its reader too
// long: nothing for a while, or less than minRate.
func (c *conn) Write(b []byte) (n int, err error) {
	for {
		wrote, err := c.write(b[n:min(len(b), n+piece)])
		n += wrote
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

func (c *conn) write(b []byte) (int, error) {
	began := time.Now()
	patience := c.patience.Load()
	if err := c.SetWriteDeadline(began.Add(time.Duration(patience))); err != nil {
		return 0, err
	}
	c.blocked.Store(max(1, int64(began.Sub(c.gate.began))))
	n, err := c.Conn.Write(b)
	c.blocked.Store(0)
	earned := int64(n) * int64(time.Second/minRate)
	c.patience.Store(max(0, min(int64(stall), patience-int64(time.Since(began))+earned)))
	return n, err
}

// CloseWrite tells the other side that nothing more comes: net/http does so
// where it has not read all that was sent, and the answer would be lost
// otherwise.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Close ends the connection.
func (c *conn) Close() error {
	c.gate.mu.Lock()
	c.gate.remove(c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
