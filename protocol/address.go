package protocol

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/sheafgrid/sheaf/task"
)

// ErrBadAddress is wrapped where a text is not the address of a coordinator.
var ErrBadAddress = errors.New("not the address of a coordinator")

// Address is where a coordinator is reached by clients: a URL, and, where the
// coordinator made its certificate itself, the fingerprint by which to know
// it. Both travel as one text (String), so that whoever passes an address on
// passes on what protects it.
type Address struct {
	Base string // scheme, host, perhaps port and path prefix; no slash at the end
	// Pin is the Fingerprint of the server's key, or of an authority that
	// vouches for it. Zero: the certificate must be of an authority that this
	// machine trusts.
	Pin task.Digest
}

// pinPrefix begins the fragment of an address that has a fingerprint.
const pinPrefix = "sha256="

// maxAddress bounds the text of an address, in bytes, and maxBase its part
// before the fingerprint.
const (
	maxAddress = 500
	maxBase    = maxAddress - len("/#"+pinPrefix) - 2*len(task.Digest{})
)

// ParseAddress reads "http://host:7710" or "https://host/prefix", the latter
// perhaps with "#sha256=" and 64 hexadecimal digits. Its error wraps
// ErrBadAddress.
func ParseAddress(text string) (Address, error) {
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Hostname() == "",
		!utf8.ValidString(u.Host), u.User != nil, u.RawQuery != "", len(text) > maxAddress:
		return Address{}, fmt.Errorf("%q is %w; write it like https://coordinator.example.org:7710", clipAddress(text), ErrBadAddress)
	}
	// A URL writes itself so that it reads the same again: the zone of an IPv6
	// address and letters beyond ASCII become percent signs, and the text longer.
	base := url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: u.Path, RawPath: u.RawPath}
	a := Address{Base: strings.TrimRight(base.String(), "/")}
	if len(a.Base) > maxBase {
		return Address{}, fmt.Errorf("%q is %w: it is over %d B long when written out", clipAddress(text), ErrBadAddress, maxBase)
	}
	if u.Fragment == "" {
		return a, nil
	}
	hex, ok := strings.CutPrefix(u.Fragment, pinPrefix)
	if ok {
		a.Pin, err = task.ParseDigest(strings.ToLower(hex))
	}
	switch {
	case !ok || err != nil || a.Pin.IsZero():
		return Address{}, fmt.Errorf("%q is %w: behind the # belongs %s and 64 hexadecimal digits, as the coordinator printed them; copy the address whole", clipAddress(text), ErrBadAddress, pinPrefix)
	case u.Scheme != "https":
		return Address{}, fmt.Errorf("%q is %w: an address with a fingerprint begins with https://", clipAddress(text), ErrBadAddress)
	}
	return a, nil
}

// String is the address as ParseAddress reads it.
func (a Address) String() string {
	if a.Pin.IsZero() {
		return a.Base
	}
	return a.Base + "/#" + pinPrefix + a.Pin.String()
}

// Encrypted reports whether what is said there is hidden from others.
func (a Address) Encrypted() bool { return strings.HasPrefix(a.Base, "https://") }

// Hostname is the host, without its port.
func (a Address) Hostname() string {
	u, err := url.Parse(a.Base)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

func clipAddress(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
