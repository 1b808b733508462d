package peers

import (
	"net"
	"testing"
)

func TestCallersAreCounted(t *testing.T) {
	address := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 1} }
	var c callers
	var leave []func()
	fill := func(ip string, n int) (in int) {
		for range n {
			if l, ok := c.enter(address(ip)); ok {
				leave = append(leave, l)
				in++
			}
		}
		return in
	}
	for _, k := range []struct {
		ip     string
		n, in  int
		reason string
	}{
		{"192.0.2.1", 100, maxHandshakesPerHost, "one machine has its share"},
		{"192.0.2.2", 1, 1, "another one is not held up"},
		{"2001:db8::1", 40, 40, "a network"},
		{"2001:db8::ffff:1", 40, maxHandshakesPerHost - 40, "one network counts as one machine"},
		{"127.0.0.1", 5000, maxHandshakes - 2*maxHandshakesPerHost - 1, "this machine may have all that are left"},
		{"192.0.2.3", 1, 0, "nothing is left"},
	} {
		if got := fill(k.ip, k.n); got != k.in {
			t.Errorf("%s: %d of %d callers from %s were let in, want %d", k.reason, got, k.n, k.ip, k.in)
		}
	}
	for _, l := range leave {
		l()
	}
	if c.all != 0 || len(c.from) != 0 {
		t.Errorf("when all have left, %d are counted from %d addresses", c.all, len(c.from))
	}
	if got := fill("192.0.2.1", 1); got != 1 {
		t.Error("who left cannot come again")
	}
}
