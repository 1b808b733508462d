// Package gate bounds how many strangers are connected to a port, and sees to
// it that those who say nothing, or next to nothing, hold up nobody else.
//
// It promises:
//   - There are never more connections than Config.Limit, nor more of one
//     address than Config.PerHost.
//   - Who connects when it is full is let in: those are closed for it who have
//     kept the port waiting the longest. It is turned away only where all
//     others are being served, and read or write as fast as they should.
//   - An answer that its reader does not take, or takes by the byte, ends.
//   - A body that is announced and does not come ends, read or not.
//   - The log is told of it once in a while, not once a connection.
//
// A Gate is a net.Listener, below TLS if there is any; Attach makes an
// http.Server tell it what becomes of its connections. It starts no goroutine.
package gate

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Config is what a Gate is made of.
type Config struct {
	Limit   int // connections, in all
	PerHost int // of one address; 0: no bound. Loopback has none: a proxy may call from there
	Logger  *slog.Logger
}

// Counts are what a gate has seen.
type Counts struct {
	Open    int    // now
	Entered uint64 // let in
	Cut     uint64 // closed to make room for others
	Refused uint64 // turned away
}

// Gate is a listener that bounds its connections.
type Gate struct {
	net.Listener
	cfg   Config
	began time.Time

	mu         sync.Mutex
	hosts      map[netip.Addr]map[*conn]bool
	counts     Counts
	complained time.Time
}

// New bounds the connections of a listener.
func New(l net.Listener, cfg Config) *Gate {
	return &Gate{Listener: l, cfg: cfg, began: time.Now(), hosts: map[netip.Addr]map[*conn]bool{}}
}

// Counts may be called at any time.
func (g *Gate) Counts() Counts {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counts
}

// outOfFiles is how long the gate waits where the process has no file
// descriptor left, and no connection that could be closed.
const outOfFiles = 50 * time.Millisecond

// Accept waits for somebody to come in.
func (g *Gate) Accept() (net.Conn, error) {
	for {
		raw, err := g.Listener.Accept()
		switch {
		case err == nil:
			if c := g.enter(raw); c != nil {
				return c, nil
			}
			_ = raw.Close() // there is no room
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
			g.mu.Lock()
			room := g.makeRoom(g.everybody(), g.counts.Open)
			g.mu.Unlock()
			if !room {
				time.Sleep(outOfFiles)
			}
		default:
			return nil, err
		}
	}
}

// enter lets somebody in; nil: there is no room.
func (g *Gate) enter(raw net.Conn) *conn {
	host := HostOf(raw.RemoteAddr())
	g.mu.Lock()
	defer g.mu.Unlock()
	own := g.hosts[host]
	tooMany := g.cfg.PerHost > 0 && len(own) >= g.cfg.PerHost && !host.IsLoopback()
	if tooMany && !g.makeRoom(own, g.cfg.PerHost) || g.counts.Open >= g.cfg.Limit && !g.makeRoom(g.everybody(), g.cfg.Limit) {
		g.counts.Refused++
		g.complain()
		return nil
	}
	if own = g.hosts[host]; own == nil { // making room may have removed it
		own = map[*conn]bool{}
		g.hosts[host] = own
	}
	c := &conn{Conn: raw, gate: g, host: host}
	c.enter(silent)
	own[c] = true
	g.counts.Open++
	g.counts.Entered++
	return c
}

// everybody is every connection; g.mu is held.
func (g *Gate) everybody() map[*conn]bool {
	all := make(map[*conn]bool, g.counts.Open)
	for _, own := range g.hosts {
		for c := range own {
			all[c] = true
		}
	}
	return all
}

// roomPart is the part of a limit that is made room for at a time: looking for
// whom to close takes longer than closing.
const roomPart = 64

// makeRoom closes a few of the connections that keep the port waiting, those
// first who matter least; g.mu is held. It reports whether there is room.
func (g *Gate) makeRoom(among map[*conn]bool, limit int) bool {
	now := g.now()
	var waiting []delay
	for c := range among {
		if d, ok := c.delays(now); ok {
			waiting = append(waiting, d)
		}
	}
	slices.SortFunc(waiting, delay.compare)
	waiting = waiting[:min(len(waiting), 1+limit/roomPart)]
	for _, d := range waiting {
		g.counts.Cut++
		g.remove(d.conn)
		_ = d.conn.Conn.Close() // who serves it finds out
	}
	if len(waiting) > 0 {
		g.complain()
	}
	return len(waiting) > 0
}

// remove forgets a connection; g.mu is held.
func (g *Gate) remove(c *conn) {
	own := g.hosts[c.host]
	if !own[c] {
		return
	}
	delete(own, c)
	if len(own) == 0 {
		delete(g.hosts, c.host)
	}
	g.counts.Open--
}

// Release takes a connection out of its gate, which counts it no more and leaves
// it alone, and returns the one below. Any other connection is returned as it
// is.
func Release(c net.Conn) net.Conn {
	c0, ok := c.(*conn)
	if !ok {
		return c
	}
	c0.gate.mu.Lock()
	defer c0.gate.mu.Unlock()
	c0.gate.remove(c0)
	_ = c0.Conn.SetWriteDeadline(time.Time{}) // of what was written through the gate
	return c0.Conn
}

// complainEvery is how often the log is told.
const complainEvery = 10 * time.Second

// complain tells the log that it is full; g.mu is held.
func (g *Gate) complain() {
	if now := time.Now(); now.Sub(g.complained) >= complainEvery {
		g.complained = now
		g.cfg.Logger.Warn("too many connections: those that wait the longest are closed to make room",
			"at", g.Addr(), "open", g.counts.Open, "most", g.cfg.Limit, "most_of_one_address", g.cfg.PerHost, "closed_so_far", g.counts.Cut, "turned_away_so_far", g.counts.Refused)
	}
}

// now is a moment, as connections keep it: nanoseconds since the gate was made.
func (g *Gate) now() int64 { return int64(time.Since(g.began)) }
