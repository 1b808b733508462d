package front

import (
	"crypto/tls"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// openACME gets certificates when clients ask for them, and renews them. The
// authority makes sure that the name leads here by connecting to its port 443
// (TLS-ALPN-01), so that port must be this one or lead to it.
func (f *Front) openACME() {
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(f.cfg.Cache), Email: f.cfg.Email,
		HostPolicy: autocert.HostWhitelist(f.cfg.Domains...),
	}
	if f.cfg.Directory != "" {
		m.Client = &acme.Client{DirectoryURL: f.cfg.Directory}
	}
	var complaints complaints
	f.serve(func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := m.GetCertificate(hello)
		ours := slices.Contains(f.cfg.Domains, strings.ToLower(hello.ServerName)) // strangers ask for anything
		if err != nil && ours && complaints.due(f.cfg.Now()) {
			f.cfg.Logger.Error("no certificate for clients; see that port 443 of the name leads to --listen, from everywhere", "name", hello.ServerName, "error", err)
		}
		return c, err
	})
	f.tls.NextProtos = append(f.tls.NextProtos, acme.ALPNProto)
}

// complainEvery is how often the same trouble is told.
const complainEvery = time.Minute

// complaints says when to tell of trouble that clients bring up again and again.
type complaints struct {
	mu   sync.Mutex
	last time.Time
}

func (c *complaints) due(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.IsZero() && now.Sub(c.last) < complainEvery {
		return false
	}
	c.last = now
	return true
}
