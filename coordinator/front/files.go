package front

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// files is a certificate that somebody else keeps in two files and renews.
type files struct {
	cert, key string

	mu      sync.Mutex
	current *tls.Certificate
	seen    [2]stamp // of what was read last, be it good or not
}

// stamp tells whether a file is another one than before.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// load reads both files.
func (f *files) load() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen, err := f.stamps()
	if err != nil {
		return err
	}
	return f.read(seen)
}

func (f *files) stamps() (seen [2]stamp, err error) {
	for i, path := range []string{f.cert, f.key} {
		if seen[i], err = stampOf(path); err != nil {
			return seen, fmt.Errorf("%w: %w", ErrFiles, err)
		}
	}
	return seen, nil
}

// read takes over what is in the files; f.mu is held.
func (f *files) read(seen [2]stamp) error {
	f.seen = seen
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return fmt.Errorf("%w: %s with %s: %w", ErrFiles, clearPath(f.cert), clearPath(f.key), err)
	}
	f.current = &c
	return nil
}

// reload reads the files if they changed. A file that is missing for a moment,
// while another takes its place, is no error before it stays so.
func (f *files) reload() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen, err := f.stamps()
	if err != nil || seen == f.seen {
		return false, err
	}
	if err := f.read(seen); err != nil {
		return false, err
	}
	return true, nil
}

func (f *files) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current, nil
}

func (f *files) leaf() *x509.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.current.Leaf
}

// pin is what clients must know of the certificate: nothing, where this machine
// trusts it for the host, since theirs will, too; otherwise the fingerprint of
// the last one in the file, which stays the longest.
func (f *files) pin(host string, now time.Time) task.Digest {
	f.mu.Lock()
	c := f.current
	f.mu.Unlock()
	between := x509.NewCertPool()
	last := c.Leaf
	for _, der := range c.Certificate[1:] {
		if p, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(p)
			last = p
		}
	}
	if _, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: host, Intermediates: between, CurrentTime: now}); err == nil {
		return task.Digest{}
	}
	return protocol.Fingerprint(last)
}
