package coordinator

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/sheafgrid/sheaf/coordinator/front"
	"github.com/sheafgrid/sheaf/protocol"
)

// Encryption says whether clients speak HTTPS with a node that was given no
// certificate.
type Encryption string

// The choices.
const (
	// EncryptBeyond makes a certificate unless clients are on this machine's
	// loopback alone.
	EncryptBeyond Encryption = "auto"
	// EncryptOwn makes a certificate in any case.
	EncryptOwn Encryption = "own"
	// EncryptNot speaks plain HTTP, beyond loopback too: for a proxy in front
	// that speaks HTTPS, on a network that nobody else reads.
	EncryptNot Encryption = "off"
)

// HTTPS says what clients see at a node's address.
type HTTPS struct {
	Encryption Encryption // without Cert and Domains; "": EncryptBeyond
	Cert, Key  string     // files with a certificate and its key, read again when they change
	Domains    []string   // get certificates for these names from an ACME authority
	Email      string     // with Domains: where that authority writes to
	Directory  string     // with Domains: its URL; "": Let's Encrypt
}

func (h *HTTPS) kind(listen string) (front.Kind, error) {
	files, acme := h.Cert != "" || h.Key != "", len(h.Domains) > 0
	chosen := h.Encryption != "" && h.Encryption != EncryptBeyond
	switch {
	case files && (h.Cert == "" || h.Key == ""):
		return 0, errors.New("a certificate needs its key: give both --tls-cert and --tls-key")
	case files && acme, chosen && (files || acme):
		return 0, errors.New("where the certificate comes from is said twice: give one of --tls-cert with --tls-key, --acme, and --tls")
	case files:
		return front.Files, nil
	case acme:
		return front.ACME, nil
	}
	switch h.Encryption {
	case EncryptOwn:
		return front.Own, nil
	case EncryptNot:
		return front.Plain, nil
	case EncryptBeyond, "":
		if loopback(listen) {
			return front.Plain, nil
		}
		return front.Own, nil
	}
	return 0, fmt.Errorf("--tls %q: want auto, own or off", h.Encryption)
}

// completeHTTPS checks what clients are to see, and finds out the URL at which
// they reach the node.
func (c *Config) completeHTTPS(host string, port int) error {
	kind, err := c.HTTPS.kind(c.Listen)
	if err != nil {
		return err
	}
	scheme := "https"
	if kind == front.Plain {
		scheme = "http"
	}
	if kind == front.ACME && c.Advertise == "" {
		c.Advertise = "https://" + c.HTTPS.Domains[0]
		if port != 443 {
			c.Advertise += ":" + strconv.Itoa(port)
		}
	}
	if c.Advertise == "" {
		if unspecified(host) {
			return fmt.Errorf("clients cannot reach this node at %q; say under which address they can with --advertise %s://HOST:%d", c.Listen, scheme, port)
		}
		c.Advertise = scheme + "://" + net.JoinHostPort(host, strconv.Itoa(port))
	}
	a, err := protocol.ParseAddress(c.Advertise)
	if err != nil {
		return fmt.Errorf("--advertise: %w", err)
	}
	outside := !loopback(net.JoinHostPort(a.Hostname(), "1"))
	switch {
	case kind != front.Plain && !a.Encrypted():
		return fmt.Errorf("--advertise %q: clients speak HTTPS with this node; write https://", c.Advertise)
	case !a.Encrypted() && outside && c.HTTPS.Encryption != EncryptNot:
		return fmt.Errorf("--advertise %q: clients beyond this machine would speak plain HTTP, which anybody on the way can read and change; advertise an https:// URL, or, if that is meant, add --tls off", c.Advertise)
	}
	return nil
}

// openFront gets the certificate for clients ready, and notes in the node's
// identity what they need to know of it.
func (c *Coordinator) openFront(id Identity) (Identity, error) {
	kind, err := c.cfg.HTTPS.kind(c.cfg.Listen)
	if err != nil {
		return id, err
	}
	authority, err := id.authority()
	if err != nil {
		return id, err
	}
	a, err := protocol.ParseAddress(c.cfg.Advertise)
	if err != nil {
		return id, err
	}
	h := &c.cfg.HTTPS
	c.front, err = front.Open(front.Config{
		Kind: kind, Host: a.Hostname(), Cert: h.Cert, Key: h.Key, Domains: h.Domains, Email: h.Email, Directory: h.Directory,
		Cache: filepath.Join(c.cfg.Dir, "acme"), Authority: authority, Now: c.cfg.Wall, Logger: c.cfg.Logger,
	})
	if err != nil {
		return id, err
	}
	if id.URL, err = c.front.Address(c.cfg.Advertise); err != nil {
		return id, err
	}
	return id, writeIdentity(&c.cfg, id)
}
