package task

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Small numbers that a cluster gives out in order, from 1. Zero names nothing.
type (
	AccountID uint32 // a person or an institution
	HostID    uint32 // one volunteer machine
	ProjectID uint32 // what a publisher runs
	AppID     uint32 // a named program of a project
	VersionID uint32 // one immutable build of an app
	JobNumber uint32 // a job, inside the coordinator; people see its JobID
	StageID   uint32 // one level of one job: the split itself, or a level of its reduction
)

// AttemptID names one task given to one host. It says nothing else to the
// host: not whether it is the first attempt or the fifth (T3).
type AttemptID uint64

// SessionID tells one run of numbered requests from another under one key. A
// sender draws it at random.
type SessionID uint64

// NodeID names a coordinator. It outlives every change of address; a node that
// lost its disk comes back under a new one.
type NodeID string

// Millis is cluster time: milliseconds that never go back (R5). It begins at
// the wall time of the bootstrap but is no wall time.
type Millis int64

// ClusterID is drawn once, when a cluster is made.
type ClusterID [16]byte

// String returns 32 hexadecimal digits.
func (c ClusterID) String() string { return hex.EncodeToString(c[:]) }

// IsZero reports whether c names nothing.
func (c ClusterID) IsZero() bool { return c == ClusterID{} }

// MarshalText makes the id hexadecimal in JSON.
func (c ClusterID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// MarshalBinary makes c raw bytes on the wire.
func (c ClusterID) MarshalBinary() ([]byte, error) { return c[:], nil }

// UnmarshalBinary is the reverse of MarshalBinary.
func (c *ClusterID) UnmarshalBinary(b []byte) error { return setBytes(c[:], b) }

// UnmarshalText is the reverse of MarshalText.
func (c *ClusterID) UnmarshalText(b []byte) error {
	v, err := ParseClusterID(string(b))
	*c = v
	return err
}

// ParseClusterID reads 32 hexadecimal digits.
func ParseClusterID(s string) (ClusterID, error) {
	var c ClusterID
	if err := parseHex(c[:], s); err != nil {
		return ClusterID{}, fmt.Errorf("cluster id %q %w: %w", clip(s), ErrBadText, err)
	}
	return c, nil
}

// Key is an Ed25519 public key: of an account or of a host.
type Key [32]byte

// String returns 43 characters of URL-safe base64.
func (k Key) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// IsZero reports whether k names nobody.
func (k Key) IsZero() bool { return k == Key{} }

// ParseKey reads what String writes.
func ParseKey(s string) (Key, error) {
	var k Key
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || copy(k[:], b) != len(k) || len(b) != len(k) {
		return Key{}, fmt.Errorf("key %q %w: want %d letters, digits, - and _", clip(s), ErrBadText, base64.RawURLEncoding.EncodedLen(len(k)))
	}
	return k, nil
}

// MarshalText makes keys base64 in JSON and YAML.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalBinary makes k raw bytes on the wire.
func (k Key) MarshalBinary() ([]byte, error) { return k[:], nil }

// UnmarshalBinary is the reverse of MarshalBinary.
func (k *Key) UnmarshalBinary(b []byte) error { return setBytes(k[:], b) }

// UnmarshalText is the reverse of MarshalText.
func (k *Key) UnmarshalText(b []byte) error {
	v, err := ParseKey(string(b))
	*k = v
	return err
}

// JobID is how people and requests name a job.
type JobID [10]byte

// NewJobID derives a job's id from the request that submits it, so that the
// same request, sent twice, names the same job (R2).
func NewJobID(account Key, session SessionID, number uint64) JobID {
	b := append([]byte("sheaf job 1\n"), account[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(session))
	b = binary.BigEndian.AppendUint64(b, number)
	sum := sha256.Sum256(b)
	return JobID(sum[:10])
}

// String returns 16 lower-case letters and digits (base32).
func (j JobID) String() string { return strings.ToLower(jobEncoding.EncodeToString(j[:])) }

// IsZero reports whether j names no job.
func (j JobID) IsZero() bool { return j == JobID{} }

// ParseJobID reads what String writes.
func ParseJobID(s string) (JobID, error) {
	var j JobID
	b, err := jobEncoding.DecodeString(strings.ToUpper(s))
	if err != nil || len(b) != len(j) {
		return JobID{}, fmt.Errorf("job id %q %w: want 16 of the characters a-z, 2-7", clip(s), ErrBadText)
	}
	return JobID(b), nil
}

// MarshalText makes job ids readable in JSON.
func (j JobID) MarshalText() ([]byte, error) { return []byte(j.String()), nil }

// MarshalBinary makes j raw bytes on the wire.
func (j JobID) MarshalBinary() ([]byte, error) { return j[:], nil }

// UnmarshalBinary is the reverse of MarshalBinary.
func (j *JobID) UnmarshalBinary(b []byte) error { return setBytes(j[:], b) }

// UnmarshalText is the reverse of MarshalText.
func (j *JobID) UnmarshalText(b []byte) error {
	v, err := ParseJobID(string(b))
	*j = v
	return err
}

var jobEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)
