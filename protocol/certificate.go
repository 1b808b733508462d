package protocol

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/task"
)

// What can be wrong with a server's certificate. The errors' texts say what a
// person can do.
var (
	ErrFingerprint = errors.New("the certificate has another fingerprint than the address")
	ErrUntrusted   = errors.New("the certificate is of no authority that this machine trusts")
	ErrOutOfDate   = errors.New("the certificate is not valid now")
)

// Fingerprint names the key of a certificate: the SHA-256 of its
// SubjectPublicKeyInfo. A certificate that is renewed for the same key keeps it.
func Fingerprint(c *x509.Certificate) task.Digest { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// TLS is the configuration with which to connect to the address. now is the
// wall clock that certificates are compared with.
func (a Address) TLS(now func() time.Time) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Time: now, ServerName: a.Hostname(),
		InsecureSkipVerify: true, // VerifyConnection does it, with or without a fingerprint
		VerifyConnection:   func(s tls.ConnectionState) error { return a.verify(s.PeerCertificates, now()) },
	}
}

// verify checks what a server showed.
func (a Address) verify(shown []*x509.Certificate, now time.Time) error {
	if len(shown) == 0 {
		return fmt.Errorf("%w: there is none", ErrUntrusted)
	}
	if !a.Pin.IsZero() {
		return VerifyPin(a.Pin, shown, now)
	}
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	_, err := shown[0].Verify(x509.VerifyOptions{DNSName: a.Hostname(), Intermediates: between, CurrentTime: now})
	var name x509.HostnameError
	switch {
	case err == nil:
		return nil
	case outOfDate(err):
		return DateError(shown[0], now)
	case errors.As(err, &name):
		return fmt.Errorf("%w: it is not for %s", ErrUntrusted, a.Hostname())
	}
	return fmt.Errorf("%w; if the coordinator made it itself, its address needs the fingerprint that it prints at its start, like %s/#%s…", ErrUntrusted, a.Base, pinPrefix)
}

// VerifyPin checks that the first of the certificates that a server showed is
// for the key with a fingerprint, or that one with that fingerprint vouches for
// it, and that both are valid now. Names do not count: whoever has the key is
// meant, at whatever address.
func VerifyPin(pin task.Digest, shown []*x509.Certificate, now time.Time) error {
	leaf := shown[0]
	if Fingerprint(leaf) == pin {
		if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			return DateError(leaf, now)
		}
		return nil
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, c := range shown[1:] {
		if Fingerprint(c) == pin {
			roots.AddCert(c)
			found = true
		} else {
			between.AddCert(c)
		}
	}
	if !found {
		return fmt.Errorf("%w: it has %s, and %s is expected; ask the operator for the coordinator's address as it is now, and do not go on if it did not change: somebody may stand between", ErrFingerprint, Fingerprint(shown[len(shown)-1]), pin)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now})
	switch {
	case err == nil:
		return nil
	case outOfDate(err):
		return DateError(leaf, now)
	}
	return fmt.Errorf("%w: %w", ErrUntrusted, err)
}

func outOfDate(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// DateError says that a certificate is not good now, wrapping ErrOutOfDate.
func DateError(c *x509.Certificate, now time.Time) error {
	return fmt.Errorf("%w: it is good from %s to %s, and this machine's clock says %s; see that the clocks of both machines are right", ErrOutOfDate,
		c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
}

// ConnectError turns the error of a connection that failed for the certificate,
// or because one side spoke TLS and the other did not, into one that says what
// to do. Nil: it failed for another reason.
func ConnectError(err error) error {
	for _, known := range []error{ErrFingerprint, ErrUntrusted, ErrOutOfDate} {
		if errors.Is(err, known) {
			var u *url.Error
			if errors.As(err, &u) {
				return u.Err
			}
			return err
		}
	}
	// net/http compares this text, too: there is no error for it.
	if err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		return ErrPlain
	}
	return nil
}

// ErrPlain is what calling a server over HTTPS comes to that speaks plain HTTP.
var ErrPlain = errors.New("it speaks plain HTTP: write http:// in place of https://")
