package coordinator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// A join token shows the cluster to a new node, and the new node to the
// cluster. It holds the fingerprint of the cluster's authority, so that the
// node says nothing to anybody else, and a number and a time that only a
// holder of the cluster's secret can have put together. The number makes it
// good for one node: it is written into the log with that.
type joinToken struct {
	Expires   int64  // by the wall clock, in seconds since 1970
	Number    uint64 // at random; never 0
	Authority task.Digest
	proof     [16]byte
}

const (
	tokenPrefix = "sheaf-join-"
	tokenBytes  = 8 + 8 + len(task.Digest{}) + 16
)

// errToken is wrapped where a text is no join token.
var errToken = errors.New("not a join token")

// sealToken completes a token.
func sealToken(secret []byte, t joinToken) joinToken {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("sheaf join token 2\n"))
	mac.Write(t.body())
	copy(t.proof[:], mac.Sum(nil))
	return t
}

func (t *joinToken) body() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(t.Expires))
	b = binary.BigEndian.AppendUint64(b, t.Number)
	return append(b, t.Authority[:]...)
}

// String is the token as a person passes it on.
func (t *joinToken) String() string {
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(t.body(), t.proof[:]...))
}

// parseToken reads what String wrote. Whether it is genuine only the cluster
// can tell.
func parseToken(text string) (t joinToken, err error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	if !ok || len(encoded) > 2*tokenBytes {
		return t, fmt.Errorf("%w: it begins with %q and is %d characters long; make one with sheaf operator token", errToken, tokenPrefix, len(tokenPrefix)+base64.RawURLEncoding.EncodedLen(tokenBytes))
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(b) != tokenBytes {
		return t, fmt.Errorf("%w: a part of it is missing or was changed; copy it whole", errToken)
	}
	t.Expires, t.Number = int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:])
	copy(t.Authority[:], b[16:])
	copy(t.proof[:], b[16+len(t.Authority):])
	if t.Number == 0 {
		return t, fmt.Errorf("%w: its number is 0", errToken)
	}
	return t, nil
}

// genuine reports whether a holder of the secret made the token.
func (t joinToken) genuine(secret []byte) bool {
	want := sealToken(secret, t)
	return hmac.Equal(want.proof[:], t.proof[:])
}

// TokenLife is how long a join token is good unless another time is given.
const TokenLife = 24 * time.Hour

// invite makes a token.
func (id *Identity) invite(now time.Time, life time.Duration) (string, error) {
	authority, err := id.authority()
	if err != nil {
		return "", err
	}
	t := joinToken{Expires: now.Add(life).Unix(), Authority: authority.Fingerprint()}
	for t.Number == 0 {
		t.Number = binary.BigEndian.Uint64(random(8))
	}
	t = sealToken(id.Secret, t)
	return t.String(), nil
}

// invitation is what a person needs to let one new node join.
func (id *Identity) invitation(now time.Time, life time.Duration) (protocol.JoinTokenView, error) {
	token, err := id.invite(now, life)
	return protocol.JoinTokenView{Token: token, Join: id.URL, Cluster: id.Cluster, Until: now.Add(life).UTC().Truncate(time.Second)}, err
}

// Invite makes a token that lets one new node join the cluster whose member
// has a data folder, until a time. The member may be running.
func Invite(dir string, now time.Time, life time.Duration) (protocol.JoinTokenView, error) {
	id, err := readIdentity(&Config{Dir: dir})
	if err != nil {
		return protocol.JoinTokenView{}, fmt.Errorf("no coordinator's data folder: %w", err)
	}
	return id.invitation(now, life)
}
