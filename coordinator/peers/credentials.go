package peers

import (
	"crypto/tls"
	"sync"
	"time"
)

// renewing is a certificate that is made anew, when it is asked for, before
// it ends. It has no goroutine: between two handshakes nobody needs it.
type renewing struct {
	make func(now time.Time) (*tls.Certificate, error)
	now  func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
}

// get is the certificate to show now.
func (r *renewing) get() (*tls.Certificate, error) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	// A clock that was put back far enough makes a new one, too.
	if c := r.current; c != nil && now.Before(c.Leaf.NotAfter.Add(-renewBefore)) && now.After(c.Leaf.NotBefore) {
		return c, nil
	}
	c, err := r.make(now)
	if err == nil {
		r.current = c
	}
	return c, err
}

// Site is the certificate of a coordinator that clients reach over HTTPS and
// that has none from elsewhere. Its key is new at each start: clients know the
// authority's fingerprint, which stays.
type Site struct{ renewing }

// NewSite makes the certificate of a coordinator that clients reach at hosts,
// names or IP addresses.
func NewSite(a *Authority, hosts []string, now func() time.Time) (*Site, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	return &Site{renewing{now: now, make: func(now time.Time) (*tls.Certificate, error) { return a.site(hosts, key, now) }}}, nil
}

// Certificate is the one to show now.
func (s *Site) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.get() }

// newCredentials is a node's certificate, as it shows it to its peers.
func newCredentials(cfg *Config) *renewing {
	return &renewing{now: cfg.Now, make: func(now time.Time) (*tls.Certificate, error) {
		return cfg.Authority.node(cfg.Node, cfg.Key, now)
	}}
}
