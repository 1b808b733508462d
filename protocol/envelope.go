package protocol

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"github.com/sheafgrid/sheaf/internal/signatures"
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/task"
)

// Purpose says what a signed payload is. It is signed too, so that a payload
// can never be taken for another kind. Numbers are never reused.
type Purpose uint8

// The purposes of requests.
const (
	PurposeEnrol         Purpose = 1 // payload: Enrol; signed by the host
	PurposeExchange      Purpose = 2 // payload: Exchange; signed by the host
	PurposeCreateProject Purpose = 3 // payload: CreateProject; signed by the account
	PurposePublish       Purpose = 4 // payload: Publish; signed by the account
	PurposeSubmit        Purpose = 5 // payload: Submit; signed by the account
	PurposeCancel        Purpose = 6 // payload: Cancel; signed by the account
	PurposeSetPublishers Purpose = 7 // payload: SetPublishers; signed by an operator's account
	PurposeOperate       Purpose = 8 // payload: Operate; signed by an operator's account
	purposeEnd           Purpose = 9
)

// Envelope is one numbered, signed request. Within a session of a key, numbers
// only rise. The same number again must carry the same body, and gets the same
// answer; a number below the last changes nothing.
type Envelope struct {
	Version   uint16         `msgpack:"v"`
	Cluster   task.ClusterID `msgpack:"c"`
	Key       task.Key       `msgpack:"k"` // of the sender: a host or an account
	Session   task.SessionID `msgpack:"s"` // drawn by the sender
	Opened    task.Millis    `msgpack:"o"` // cluster time at which the session was opened, as a coordinator told it
	Number    uint64         `msgpack:"n"`
	Purpose   Purpose        `msgpack:"p"`
	Payload   []byte         `msgpack:"b,omitempty"`
	Signature []byte         `msgpack:"g,omitempty"`

	sum task.Digest // of one that was read: nobody changes it any more
}

// Sum covers everything but the signature; it is what is signed, and what two
// requests of the same number are compared by.
func (e *Envelope) Sum() task.Digest {
	if !e.sum.IsZero() {
		return e.sum
	}
	payload := task.Sum(e.Payload)
	b := []byte("sheaf request 1\n")
	b = binary.BigEndian.AppendUint16(b, e.Version)
	b = append(b, e.Cluster[:]...)
	b = append(b, e.Key[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Session))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Opened))
	b = binary.BigEndian.AppendUint64(b, e.Number)
	b = append(b, byte(e.Purpose))
	b = append(b, payload[:]...)
	return task.Sum(b)
}

// Sign fills in the key and the signature.
func (e *Envelope) Sign(key ed25519.PrivateKey) {
	e.Key = PublicKey(key)
	sum := e.Sum()
	e.Signature = ed25519.Sign(key, sum[:])
}

// Encode is the request as it is sent.
func (e *Envelope) Encode() []byte { return wire.SealValue(FrameEnvelope, e) }

// OpenEnvelope reads and verifies a request: what ReadEnvelope does, and the
// signature.
func OpenEnvelope(b []byte, cluster task.ClusterID) (*Envelope, error) {
	e, err := ReadEnvelope(b, cluster)
	if err != nil {
		return nil, err
	}
	if s := e.Signed(); !s.Verify() {
		return nil, e.BadSignature()
	}
	return e, nil
}

// Signed is what has to be verified of a request that was read.
func (e *Envelope) Signed() signatures.Signed {
	return signatures.Signed{Key: e.Key, Message: e.Sum(), Signature: [ed25519.SignatureSize]byte(e.Signature)}
}

// BadSignature is the refusal of a request whose signature is wrong.
func (e *Envelope) BadSignature() *Error {
	return Refuse(CodeBadSignature, "the signature is not that of key %s", e.Key)
}

// ReadEnvelope reads a request and checks its size, form and version, and the
// cluster that it is for. The caller verifies its signature. The error is an
// *Error for the sender. Whether the key is known, and what the payload says, is
// not looked at. The request shares b's memory.
func ReadEnvelope(b []byte, cluster task.ClusterID) (*Envelope, error) {
	kind, payload, err := wire.Open(b, MaxEnvelope)
	if err != nil {
		return nil, Refuse(CodeMalformed, "the request cannot be read: %v", err)
	}
	if kind != FrameEnvelope {
		return nil, Refuse(CodeMalformed, "frame of kind %d is not a request", kind)
	}
	var e Envelope
	if err := wire.UnmarshalLax(payload, &e, wire.Shared); err != nil {
		return nil, Refuse(CodeMalformed, "the request cannot be read: %v", err)
	}
	switch {
	case e.Version != Version:
		return nil, Refuse(CodeVersion, "the request speaks protocol version %d, this coordinator speaks %d; update the older of the two", e.Version, Version)
	case e.Cluster != cluster:
		return nil, Refuse(CodeWrongCluster, "the request is for cluster %s, this is cluster %s; use the data folder that belongs to it, or a new one", e.Cluster, cluster)
	case e.Purpose == 0 || e.Purpose >= purposeEnd:
		return nil, Refuse(CodeMalformed, "purpose %d is not known", e.Purpose)
	case e.Number == 0:
		return nil, Refuse(CodeMalformed, "request numbers begin at 1")
	case e.Opened < 0:
		return nil, Refuse(CodeMalformed, "the session was opened at a negative time")
	}
	if len(e.Signature) != ed25519.SignatureSize {
		return nil, e.BadSignature()
	}
	e.sum = e.Sum()
	return &e, nil
}

// Decode reads the payload into one of the payload types, which shares its memory.
func (e *Envelope) Decode(into any) error { return e.decode(into, wire.Shared) }

// DecodeAgain does so where an earlier payload was: its lists are emptied, and
// have room.
func (e *Envelope) DecodeAgain(into any) error { return e.decode(into, wire.Shared, wire.Reused) }

func (e *Envelope) decode(into any, options ...wire.Option) error {
	if err := wire.UnmarshalLax(e.Payload, into, options...); err != nil {
		return Refuse(CodeMalformed, "the payload cannot be read: %v", err)
	}
	return nil
}

// PublicKey is the public half of an Ed25519 key.
func PublicKey(key ed25519.PrivateKey) task.Key {
	return task.Key(key.Public().(ed25519.PublicKey))
}

// Certify signs, with an account's key, that a host is one of its machines.
func Certify(account ed25519.PrivateKey, host task.Key) []byte {
	return ed25519.Sign(account, certificate(host))
}

// VerifyCertificate reports whether an account certified a host.
func VerifyCertificate(account, host task.Key, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(account[:], certificate(host), signature)
}

func certificate(host task.Key) []byte {
	return fmt.Appendf(nil, "sheaf host certificate 1\n%s\n", host)
}

// SignVersion signs, with a publisher's key, that a program is a build of an
// app. No coordinator holds such a key, so none can give volunteers another
// program.
func SignVersion(account ed25519.PrivateKey, project, app string, program task.Digest, meter uint16) []byte {
	return ed25519.Sign(account, versionText(project, app, program, meter))
}

// VerifyVersion reports whether a publisher signed a program.
func VerifyVersion(account task.Key, project, app string, program task.Digest, meter uint16, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize &&
		ed25519.Verify(account[:], versionText(project, app, program, meter), signature)
}

func versionText(project, app string, program task.Digest, meter uint16) []byte {
	return fmt.Appendf(nil, "sheaf app version 1\n%s\n%s\n%s\n%d\n", project, app, program, meter)
}

// SignUpload signs that its holder may store a blob. A blob is named by its
// content, so a repeated upload changes nothing and needs no number.
func SignUpload(key ed25519.PrivateKey, cluster task.ClusterID, blob task.Digest) []byte {
	return ed25519.Sign(key, uploadText(cluster, blob))
}

// VerifyUpload reports whether a key signed an upload.
func VerifyUpload(key task.Key, cluster task.ClusterID, blob task.Digest, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(key[:], uploadText(cluster, blob), signature)
}

func uploadText(cluster task.ClusterID, blob task.Digest) []byte {
	return fmt.Appendf(nil, "sheaf upload 1\n%s\n%s\n", cluster, blob)
}

// SignRead signs a reading of what only its holder may see: a path, at a
// cluster time. Reading changes nothing and needs no number.
func SignRead(key ed25519.PrivateKey, cluster task.ClusterID, path string, at task.Millis) []byte {
	return ed25519.Sign(key, readText(cluster, path, at))
}

// VerifyRead reports whether a key signed a reading.
func VerifyRead(key task.Key, cluster task.ClusterID, path string, at task.Millis, signature []byte) bool {
	return len(signature) == ed25519.SignatureSize && ed25519.Verify(key[:], readText(cluster, path, at), signature)
}

func readText(cluster task.ClusterID, path string, at task.Millis) []byte {
	return fmt.Appendf(nil, "sheaf read 1\n%s\n%s\n%d\n", cluster, path, at)
}
