package gate

import (
	"net"
	"net/netip"
)

// HostOf is the address of a machine, for IPv6 that of its network: one machine
// has as many as it likes there. It is zero where there is none.
func HostOf(a net.Addr) netip.Addr {
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
