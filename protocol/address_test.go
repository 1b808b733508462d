package protocol_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

func TestAddress(t *testing.T) {
	pin := task.Sum([]byte("key"))
	for text, want := range map[string]protocol.Address{
		"http://A.example:1/":                                          {Base: "http://a.example:1"},
		" https://a.example/x/ ":                                       {Base: "https://a.example/x"},
		"https://a.example:1#sha256=" + pin.String():                   {Base: "https://a.example:1", Pin: pin},
		"https://a.example:1/#sha256=" + pin.String():                  {Base: "https://a.example:1", Pin: pin},
		"https://[fd00::1]:1/#sha256=" + pin.String():                  {Base: "https://[fd00::1]:1", Pin: pin},
		"https://[FE80::1%25eth0]:1":                                   {Base: "https://[fe80::1%25eth0]:1"},
		"https://BÜRO.example:1":                                       {Base: "https://b%C3%BCro.example:1"},
		"https://a.example/x/#sha256=" + strings.ToUpper(pin.String()): {Base: "https://a.example/x", Pin: pin},
	} {
		got, err := protocol.ParseAddress(text)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", text, got, err, want)
		}
		if again, err := protocol.ParseAddress(got.String()); err != nil || again != want {
			t.Errorf("%q as text, %q: got %+v, %v; want %+v", text, got, again, err, want)
		}
	}
}

func TestAddressIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "a.example", "ftp://a.example", "https://", "https://:7710", "https://u@a.example", "https://a.example?x",
		"https://a\xff.example", "https://a%ff.example", "https://a.example#sha256=00", "https://a.example#x",
		"https://a.example/" + strings.Repeat("x", 500), "https://a.example/" + strings.Repeat("é", 200),
		"http://a.example#sha256=" + task.Sum(nil).String(), "https://a.example#sha256=" + task.Digest{}.String(),
	} {
		if a, err := protocol.ParseAddress(text); !errors.Is(err, protocol.ErrBadAddress) {
			t.Errorf("%q: got %+v, %v; want %v", text, a, err, protocol.ErrBadAddress)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("https://a.example:1/#sha256=" + task.Sum(nil).String())
	f.Add("http://[::1]:7710/x")
	f.Add("https://a/%zz#sha256=")
	f.Add("https://a.example25\xf7\xf7\xf7")
	f.Add("https://[fe80::1%25eth0]/É")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := protocol.ParseAddress(text)
		if err != nil {
			if !errors.Is(err, protocol.ErrBadAddress) {
				t.Errorf("%q: got %v, want ErrBadAddress", text, err)
			}
			return
		}
		if again, err := protocol.ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q became %q, which is %+v, %v; want %+v", text, a, again, err, a)
		}
	})
}

// signed makes a certificate that a parent signed; nil: itself.
func signed(t *testing.T, name string, from, to time.Time, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to, DNSNames: []string{name},
		BasicConstraintsValid: true, IsCA: parent == nil, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if parent == nil {
		parent, by, c.KeyUsage = c, key, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}

func TestVerifyPin(t *testing.T) {
	now := time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	ca, caKey := signed(t, "ca", now.Add(-1000*day), now.Add(1000*day), nil, nil)
	other, otherKey := signed(t, "ca", now.Add(-1000*day), now.Add(1000*day), nil, nil)
	leaf, _ := signed(t, "a.example", now.Add(-day), now.Add(day), ca, caKey)
	strange, _ := signed(t, "a.example", now.Add(-day), now.Add(day), other, otherKey)
	of := protocol.Fingerprint
	for name, k := range map[string]struct {
		pin   task.Digest
		shown []*x509.Certificate
		at    time.Time
		want  error
	}{
		"its key":                            {of(leaf), []*x509.Certificate{leaf}, now, nil},
		"that of its authority":              {of(ca), []*x509.Certificate{leaf, ca}, now, nil},
		"an authority that is not shown":     {of(ca), []*x509.Certificate{leaf}, now, protocol.ErrFingerprint},
		"another key":                        {of(other), []*x509.Certificate{leaf, ca}, now, protocol.ErrFingerprint},
		"an authority that vouches for none": {of(ca), []*x509.Certificate{strange, ca}, now, protocol.ErrUntrusted},
		"its key, too late":                  {of(leaf), []*x509.Certificate{leaf}, now.Add(2 * day), protocol.ErrOutOfDate},
		"its key, too early":                 {of(leaf), []*x509.Certificate{leaf}, now.Add(-2 * day), protocol.ErrOutOfDate},
		"its authority, too late":            {of(ca), []*x509.Certificate{leaf, ca}, now.Add(2 * day), protocol.ErrOutOfDate},
	} {
		if err := protocol.VerifyPin(k.pin, k.shown, k.at); !errors.Is(err, k.want) {
			t.Errorf("%s: got %v, want %v", name, err, k.want)
		}
	}
}
