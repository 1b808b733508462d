package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// How long a certificate is good, and how long before its end the next one is
// made. It begins a day early: clocks differ.
const (
	lifetime    = 30 * 24 * time.Hour
	renewBefore = 10 * 24 * time.Hour
	early       = 24 * time.Hour
)

// Authority is a cluster's own certificate authority. Each coordinator has its
// key, since each may have to let another one in. Its fingerprint is by what
// new nodes, and clients of coordinators that make their certificates
// themselves, know the cluster.
type Authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pool        *x509.CertPool
	fingerprint task.Digest
}

// NewKey draws a key, for an authority or for a node.
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// EncodeKey is a key as files and messages keep it (PKCS #8).
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) { return x509.MarshalPKCS8PrivateKey(key) }

// DecodeKey reads what EncodeKey wrote.
func DecodeKey(der []byte) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("key: want one of the curve P-256")
	}
	return key, nil
}

// FingerprintOf is the fingerprint of a key's public half.
func FingerprintOf(key *ecdsa.PrivateKey) (task.Digest, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return task.Digest{}, fmt.Errorf("key: %w", err)
	}
	return task.Sum(der), nil
}

// NewAuthority is the authority that a key belongs to. The certificate that it
// makes for itself never ends; only its key counts.
func NewAuthority(key *ecdsa.PrivateKey) (*Authority, error) {
	fingerprint, err := FingerprintOf(key)
	if err != nil {
		return nil, err
	}
	name := pkix.Name{CommonName: "Sheaf cluster authority " + fingerprint.Short()}
	c, err := issue(&x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: name, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}, nil, key, key)
	if err != nil {
		return nil, err
	}
	a := &Authority{key: key, certificate: c, pool: x509.NewCertPool(), fingerprint: fingerprint}
	a.pool.AddCert(c)
	return a, nil
}

// Fingerprint is that of the authority's key (protocol.Fingerprint).
func (a *Authority) Fingerprint() task.Digest { return a.fingerprint }

// node certifies that a node has a key.
func (a *Authority) node(name task.NodeID, key *ecdsa.PrivateKey, now time.Time) (*tls.Certificate, error) {
	return a.certify(&x509.Certificate{
		Subject:     pkix.Name{CommonName: string(name), Organization: []string{"Sheaf coordinator"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, key, now)
}

// site certifies that clients reach a coordinator at some hosts. It is no
// certificate of a node: peers refuse it.
func (a *Authority) site(hosts []string, key *ecdsa.PrivateKey, now time.Time) (*tls.Certificate, error) {
	t := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Sheaf coordinator"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else if h != "" {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	return a.certify(t, key, now)
}

// certify completes a certificate for a key. What is shown includes the
// authority's own, for those who know only its fingerprint.
func (a *Authority) certify(t *x509.Certificate, key *ecdsa.PrivateKey, now time.Time) (*tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	t.SerialNumber, t.KeyUsage = serial, x509.KeyUsageDigitalSignature
	t.NotBefore, t.NotAfter = now.Add(-early), now.Add(lifetime)
	t.BasicConstraintsValid = true
	c, err := issue(t, a.certificate, key, a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{c.Raw, a.certificate.Raw}, PrivateKey: key, Leaf: c}, nil
}

// issue signs a certificate; without a parent, by itself.
func issue(t, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	if parent == nil {
		parent = t
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("certificate of %q: %w", t.Subject.CommonName, err)
	}
	return x509.ParseCertificate(der)
}

// Peer is who somebody at the other end proved to be.
type Peer struct {
	Node task.NodeID
	Key  task.Digest // fingerprint of its key
}

// Reasons why a peer's certificate is refused.
var (
	// ErrOtherCluster is wrapped where a certificate is of another cluster.
	ErrOtherCluster = errors.New("its certificate is of another cluster")
	// ErrOtherNode is wrapped where another node answers than the one meant.
	ErrOtherNode = errors.New("another node answers there")
	// ErrNotVouched is wrapped where a certificate is good and its node is not.
	ErrNotVouched = errors.New("not a member of the cluster now")
)

// identify says whose certificate somebody shows.
func (a *Authority) identify(shown []*x509.Certificate, now time.Time) (Peer, error) {
	leaf := shown[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: a.pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return Peer{}, fmt.Errorf("%w (%q; this cluster's is %q)", ErrOtherCluster, leaf.Issuer.CommonName, a.certificate.Subject.CommonName)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Peer{}, fmt.Errorf("node %q: %w", leaf.Subject.CommonName, protocol.DateError(leaf, now))
	case err != nil:
		return Peer{}, fmt.Errorf("its certificate is not that of a coordinator: %w", err)
	}
	name := leaf.Subject.CommonName
	if err := task.CheckHandle(name); err != nil {
		return Peer{}, fmt.Errorf("its certificate is not that of a coordinator: %w", err)
	}
	return Peer{Node: task.NodeID(name), Key: protocol.Fingerprint(leaf)}, nil
}
