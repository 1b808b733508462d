package peers

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// How many callers may be at their handshake at a time: all of them, and those
// of one address. Further ones are turned away at once, so that who calls and
// says nothing holds up nobody else.
const (
	maxHandshakes        = 4096
	maxHandshakesPerHost = 64
)

// callers counts those who are at their handshake.
type callers struct {
	mu   sync.Mutex
	all  int
	from map[netip.Addr]int
}

// enter counts a caller; ok is false where there are too many. leave must be
// called once it is through.
func (c *callers) enter(a net.Addr) (leave func(), ok bool) {
	host := hostOf(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	// On one machine's loopback all peers have the same address.
	if c.all >= maxHandshakes || !host.IsLoopback() && c.from[host] >= maxHandshakesPerHost {
		return nil, false
	}
	if c.from == nil {
		c.from = map[netip.Addr]int{}
	}
	c.all++
	c.from[host]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all--
		if c.from[host]--; c.from[host] == 0 {
			delete(c.from, host)
		}
	}, true
}

// hostOf is the address of a machine, for IPv6 that of its network: one machine
// has as many as it likes there.
func hostOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	host := tcp.AddrPort().Addr().Unmap()
	if host.Is6() && !host.IsLoopback() {
		if p, err := host.Prefix(64); err == nil {
			host = p.Masked().Addr()
		}
	}
	return host
}

// complainEvery is how often the log is told that somebody was turned away: who
// means harm could fill it.
const complainEvery = 10 * time.Second

// complaints says when to tell of somebody again.
type complaints struct {
	mu   sync.Mutex
	last time.Time
}

func (c *complaints) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last) < complainEvery {
		return false
	}
	c.last = time.Now()
	return true
}
