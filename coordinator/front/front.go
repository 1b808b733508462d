// Package front is what a coordinator's port for clients shows of itself:
// nothing (plain HTTP), a certificate from files, one from an ACME authority,
// or one that it makes itself.
//
// It promises:
//   - A certificate that changes is shown to whoever connects next; nobody who
//     is connected is disturbed.
//   - Files that do not fit together, as while they are being replaced, change
//     nothing.
//   - Pin says what clients need to know beside the URL, if they need anything.
//
// Goroutines: Run watches the files, in its caller's. ACME asks its authority
// on those of net/http. Keys from ACME are kept in Config.Cache, no other.
package front

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Kind is where a certificate comes from.
type Kind uint8

// The kinds.
const (
	Plain Kind = iota // none: what is said is not encrypted
	Own               // the cluster's authority makes it
	Files             // somebody else puts it into files
	ACME              // an authority like Let's Encrypt gives it
)

// Config is what a Front is made of.
type Config struct {
	Kind Kind
	Host string // under which clients reach the coordinator

	Cert, Key string // Files: PEM, the certificate first and then what vouches for it

	Domains   []string // ACME: names to get certificates for
	Email     string   // ACME: where the authority writes to; "": nowhere
	Directory string   // ACME: the authority; "": Let's Encrypt
	Cache     string   // ACME: folder for keys and certificates

	Authority *peers.Authority // Own

	Now    func() time.Time // wall clock
	Logger *slog.Logger
}

// Front is the certificate that clients see.
type Front struct {
	cfg   Config
	tls   *tls.Config // nil: plain
	pin   task.Digest
	files *files
}

// Open gets the certificate ready, as far as that needs nobody else.
func Open(cfg Config) (*Front, error) {
	f := &Front{cfg: cfg}
	var err error
	switch cfg.Kind {
	case Plain:
	case Own:
		err = f.openOwn()
	case Files:
		err = f.openFiles()
	case ACME:
		f.openACME()
	default:
		err = fmt.Errorf("front: no kind %d", cfg.Kind)
	}
	return f, err
}

func (f *Front) openOwn() error {
	site, err := peers.NewSite(f.cfg.Authority, []string{f.cfg.Host, "localhost", "127.0.0.1", "::1"}, f.cfg.Now)
	if err != nil {
		return err
	}
	f.serve(site.Certificate)
	f.pin = f.cfg.Authority.Fingerprint()
	return nil
}

func (f *Front) openFiles() error {
	f.files = &files{cert: f.cfg.Cert, key: f.cfg.Key}
	if err := f.files.load(); err != nil {
		return err
	}
	f.pin = f.files.pin(f.cfg.Host, f.cfg.Now())
	f.serve(f.files.certificate)
	return nil
}

// serve shows certificates to clients. HTTP/2 is left out: it would gain them
// nothing, and has more that a stranger can try.
func (f *Front) serve(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) {
	f.tls = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Time: f.cfg.Now, GetCertificate: get}
}

// Listener is a port with the certificate before it.
func (f *Front) Listener(l net.Listener) net.Listener {
	if f.tls == nil {
		return l
	}
	return tls.NewListener(l, f.tls)
}

// Pin is the fingerprint by which clients know the coordinator; zero where
// they need none, because there is no certificate, or any machine trusts it.
func (f *Front) Pin() task.Digest { return f.pin }

// lookEvery is how often the files are looked at.
const lookEvery = 15 * time.Second

// Run takes notice of files that change, until ctx ends.
func (f *Front) Run(ctx context.Context) error {
	if f.files == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.look()
		}
	}
}

// look reloads the files, and says what came of it.
func (f *Front) look() {
	changed, err := f.Reload()
	switch {
	case err != nil:
		f.cfg.Logger.Error("the certificate for clients changed and cannot be used; the old one stays", "error", err)
	case changed:
		f.cfg.Logger.Info("the certificate for clients was reloaded", "file", f.cfg.Cert, "good_until", f.files.leaf().NotAfter)
		if f.files.pin(f.cfg.Host, f.cfg.Now()) != f.pin {
			f.cfg.Logger.Warn("its fingerprint is another one than clients know; start this node again, so that the cluster tells them", "file", f.cfg.Cert)
		}
	}
}

// Reload reads the files again if they changed since. After an error what was
// there before is shown on.
func (f *Front) Reload() (changed bool, err error) {
	if f.files == nil {
		return false, nil
	}
	return f.files.reload()
}

// ErrFiles is wrapped where a certificate and its key cannot be used.
var ErrFiles = errors.New("the certificate for clients")

// clearPath is a path that says where it is.
func clearPath(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// Address is a URL for clients with what they need to know beside it.
func (f *Front) Address(url string) (string, error) {
	a, err := protocol.ParseAddress(url)
	if err != nil {
		return "", err
	}
	if a.Pin.IsZero() && a.Encrypted() {
		a.Pin = f.pin
	}
	return a.String(), nil
}
