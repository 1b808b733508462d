package front_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/front"
	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

func authority(t *testing.T) *peers.Authority {
	t.Helper()
	key, err := peers.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	a, err := peers.NewAuthority(key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// write puts a new self-made certificate, with its key, into two files, and
// returns the fingerprint.
func write(t *testing.T, cert, key string, serial int64) task.Digest {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "one.example"}, DNSNames: []string{"one.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if path == "" {
			continue
		}
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Unix(1_900_000_000+serial, 0) // file systems count in seconds, some of them
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return protocol.Fingerprint(c)
}

// serve answers on a port of its own, behind a front.
func serve(t *testing.T, f *front.Front) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func() { _ = s.Serve(f.Listener(l)) }()
	t.Cleanup(func() { _ = s.Close() })
	return "https://" + l.Addr().String()
}

// client speaks with a front by a fingerprint.
func client(t *testing.T, url string, pin task.Digest) *http.Client {
	t.Helper()
	a := protocol.Address{Base: url, Pin: pin}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: a.TLS(time.Now)}}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// get returns from where the front saw the client come, and its certificate's
// number.
func get(c *http.Client, url string) (from string, serial *big.Int, err error) {
	res, err := c.Get(url)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), res.TLS.PeerCertificates[0].SerialNumber, err
}

func open(t *testing.T, c front.Config) *front.Front {
	t.Helper()
	c.Now, c.Logger = time.Now, slog.New(slog.DiscardHandler)
	f, err := front.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A coordinator's own certificate is known by the cluster's fingerprint, which
// is the same on each and outlives restarts.
func TestOwnCertificate(t *testing.T) {
	a := authority(t)
	for range 2 {
		f := open(t, front.Config{Kind: front.Own, Host: "one.example", Authority: a})
		if f.Pin() != a.Fingerprint() {
			t.Fatalf("its fingerprint is %s, want the authority's, %s", f.Pin(), a.Fingerprint())
		}
		url := serve(t, f)
		if _, _, err := get(client(t, url, a.Fingerprint()), url); err != nil {
			t.Errorf("with the fingerprint: %v", err)
		}
		if _, _, err := get(client(t, url, authority(t).Fingerprint()), url); !errors.Is(err, protocol.ErrFingerprint) {
			t.Errorf("with that of another cluster: got %v, want ErrFingerprint", err)
		}
		if _, _, err := get(client(t, url, task.Digest{}), url); !errors.Is(err, protocol.ErrUntrusted) {
			t.Errorf("without: got %v, want ErrUntrusted", err)
		}
		if text, err := f.Address("https://one.example:1"); err != nil || text != "https://one.example:1/#sha256="+a.Fingerprint().String() {
			t.Errorf("the address for clients is %q, %v", text, err)
		}
	}
}

// A certificate that is replaced is shown to whoever connects next; connections
// live on; a half-written one changes nothing.
func TestFilesAreReplacedWhileClientsAreConnected(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	first := write(t, cert, key, 1)
	f := open(t, front.Config{Kind: front.Files, Host: "one.example", Cert: cert, Key: key})
	if f.Pin() != first {
		t.Errorf("a certificate that nobody trusts: its fingerprint is %s, want %s", f.Pin(), first)
	}
	url := serve(t, f)
	connected := client(t, url, first)
	from, _, err := get(connected, url)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(wantChanged bool, wantErr error) {
		t.Helper()
		if changed, err := f.Reload(); changed != wantChanged || !errors.Is(err, wantErr) {
			t.Errorf("reloading: %t, %v; want %t, %v", changed, err, wantChanged, wantErr)
		}
	}
	reload(false, nil)
	write(t, cert, "", 2) // its key is still the old one
	reload(false, front.ErrFiles)
	reload(false, nil) // it is complained about once
	second := write(t, cert, key, 3)
	reload(true, nil)
	if again, serial, err := get(connected, url); err != nil || again != from || serial.Int64() != 1 {
		t.Errorf("who was connected from %s comes from %s and sees number %v, %v; want the same connection", from, again, serial, err)
	}
	if _, serial, err := get(client(t, url, second), url); err != nil || serial.Int64() != 3 {
		t.Errorf("who connects now sees number %v, %v; want 3", serial, err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	reload(false, front.ErrFiles)
	if _, serial, err := get(client(t, url, second), url); err != nil || serial.Int64() != 3 {
		t.Errorf("without the key's file: number %v, %v; want 3 still", serial, err)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	c := front.Config{Kind: front.Files, Host: "one.example", Cert: cert, Key: key, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	if _, err := front.Open(c); !errors.Is(err, front.ErrFiles) || !strings.Contains(err.Error(), "cert.pem") {
		t.Errorf("no files: got %v, want ErrFiles with the name", err)
	}
	write(t, cert, key, 1)
	write(t, cert, "", 2)
	if _, err := front.Open(c); !errors.Is(err, front.ErrFiles) {
		t.Errorf("a key of another certificate: got %v, want ErrFiles", err)
	}
}

// lines counts the lines that are logged.
type lines struct {
	mu sync.Mutex
	n  int
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	return len(b), nil
}

// ACME has nothing to show before it was asked, takes only the names that it was
// given, and says once, not at each connection, that it gets no certificate.
func TestACMEWithoutAnAuthority(t *testing.T) {
	log := &lines{}
	f, err := front.Open(front.Config{
		Kind: front.ACME, Domains: []string{"one.example"}, Directory: "http://127.0.0.1:1/directory", Cache: t.TempDir(),
		Now: time.Now, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Pin().IsZero() {
		t.Errorf("its fingerprint is %s, want none", f.Pin())
	}
	url := serve(t, f)
	for _, k := range []struct {
		name string
		told int
	}{{"two.example", 0}, {"one.example", 1}, {"ONE.example", 1}} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), &tls.Config{ServerName: k.name, InsecureSkipVerify: true})
		if err == nil {
			_ = conn.Close()
			t.Errorf("a certificate for %s was shown", k.name)
		}
		if log.mu.Lock(); log.n != k.told {
			t.Errorf("after asking for %s, %d complaints were logged, want %d", k.name, log.n, k.told)
		}
		log.mu.Unlock()
	}
}
