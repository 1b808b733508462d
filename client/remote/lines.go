package remote

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// lines are the connections to coordinators, apart for each address: one that
// was made under another fingerprint is never used.
type lines struct {
	fixed http.RoundTripper // for all, where it is not nil

	mu sync.Mutex
	to map[protocol.Address]*http.Client
}

// client speaks with an address.
func (l *lines) client(a protocol.Address) *http.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.to[a]; c != nil {
		return c
	}
	if len(l.to) > 2*maxMembers {
		l.closeIdle() // members that are long gone
	}
	if l.to == nil {
		l.to = map[protocol.Address]*http.Client{}
	}
	transport := l.fixed
	if transport == nil {
		transport = newTransport(a)
	}
	c := &http.Client{
		Transport: transport,
		// A redirect would send signed requests wherever an answer says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	l.to[a] = c
	return c
}

func newTransport(a protocol.Address) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        a.TLS(time.Now),
		TLSHandshakeTimeout:    10 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    8,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}

func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeIdle()
}

func (l *lines) closeIdle() {
	for _, c := range l.to {
		c.CloseIdleConnections()
	}
	clear(l.to)
}
