package task

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrBadText is wrapped by every error of a Parse function here.
var ErrBadText = errors.New("cannot be read")

// Digest is the SHA-256 of some bytes. The zero Digest means "none": no input
// is known that hashes to it.
type Digest [sha256.Size]byte

// EmptyDigest is the digest of no bytes at all.
var EmptyDigest = Sum(nil)

// Sum returns the digest of b.
func Sum(b []byte) Digest { return sha256.Sum256(b) }

// ParseDigest reads 64 hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if err := parseHex(d[:], s); err != nil {
		return Digest{}, fmt.Errorf("digest %q %w: %w", clip(s), ErrBadText, err)
	}
	return d, nil
}

// String returns 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Short returns the first 12 digits, enough for a person to tell two apart.
func (d Digest) Short() string { return hex.EncodeToString(d[:6]) }

// IsZero reports whether d names nothing.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText makes digests hexadecimal in JSON and YAML.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// MarshalBinary makes digests raw bytes on the wire.
func (d Digest) MarshalBinary() ([]byte, error) { return d[:], nil }

// UnmarshalBinary is the reverse of MarshalBinary.
func (d *Digest) UnmarshalBinary(b []byte) error { return setBytes(d[:], b) }

// UnmarshalText is the reverse of MarshalText.
func (d *Digest) UnmarshalText(b []byte) error {
	v, err := ParseDigest(string(b))
	*d = v
	return err
}

func parseHex(dst []byte, s string) error {
	if len(s) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("want %d hexadecimal digits, got %d characters", hex.EncodedLen(len(dst)), len(s))
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}

// setBytes fills dst with exactly b.
func setBytes(dst, b []byte) error {
	if len(b) != len(dst) {
		return fmt.Errorf("want %d bytes, got %d: %w", len(dst), len(b), ErrBadText)
	}
	copy(dst, b)
	return nil
}

// clip keeps an error message short whatever somebody typed.
func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
