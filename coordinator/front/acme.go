package front

import (
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
	f.serve(m.GetCertificate)
	f.tls.NextProtos = append(f.tls.NextProtos, acme.ALPNProto)
}
