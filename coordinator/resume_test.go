package coordinator_test

import (
	"bytes"
	"crypto/ed25519"
	"io"
	"net/http"
	"strconv"
	"testing"
	"testing/iotest"

	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

// uploader sends parts of a blob to a node.
type uploader struct {
	t       *testing.T
	node    *running
	cluster task.ClusterID
	key     ed25519.PrivateKey
	blob    []byte
}

// part sends what body delivers from a byte on, and returns the status and where
// to go on.
func (u *uploader) part(offset string, body io.Reader, length int64) (status, at int) {
	u.t.Helper()
	digest := task.Sum(u.blob)
	req, err := http.NewRequestWithContext(u.t.Context(), http.MethodPut, u.node.Info().URL+protocol.PathBlobs+digest.String(), body)
	if err != nil {
		u.t.Fatal(err)
	}
	req.ContentLength = length
	req.Header.Set(protocol.HeaderKey, protocol.PublicKey(u.key).String())
	req.Header.Set(protocol.HeaderSignature, protocol.EncodeSignature(protocol.SignUpload(u.key, u.cluster, digest)))
	req.Header.Set(protocol.HeaderSize, strconv.Itoa(len(u.blob)))
	req.Header.Set(protocol.HeaderOffset, offset)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0 // it broke off here, as it was to
	}
	defer res.Body.Close()
	at, _ = strconv.Atoi(res.Header.Get(protocol.HeaderOffset))
	return res.StatusCode, at
}

// where waits until the node has so many bytes: it may still be reading what was
// sent before the connection broke.
func (u *uploader) where(want int) {
	u.t.Helper()
	for {
		status, at := u.part(protocol.OffsetUnknown, http.NoBody, 0)
		if status != http.StatusAccepted || at > want {
			u.t.Fatalf("it is at %d (status %d), want %d", at, status, want)
		}
		if at == want {
			return
		}
	}
}

// An upload goes on where its connection broke, through a restart of the node,
// too; nobody else sees anything of it.
func TestUploadGoesOnAfterARestart(t *testing.T) {
	cfg := config(t, "n1")
	cfg.Bootstrap = &coordinator.Bootstrap{Anyone: true}
	n := start(t, cfg)
	n.members(t, "n1")
	u := &uploader{t: t, node: n, key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), blob: storagetest.Random(5<<20, 1)}
	n.State(func(s *state.State) { u.cluster = s.Cluster().ID })
	u.where(0)
	const first = 2 << 20
	u.part("0", io.MultiReader(bytes.NewReader(u.blob[:first]), iotest.ErrReader(io.ErrUnexpectedEOF)), int64(len(u.blob)))
	u.where(first)
	n.stop(t)

	n = start(t, cfg)
	defer func() { n.stop(t) }()
	n.members(t, "n1")
	u.node = n
	u.where(first)
	stranger := *u
	stranger.key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	stranger.where(0)
	if status, _ := u.part("7", bytes.NewReader(u.blob[7:]), int64(len(u.blob)-7)); status != http.StatusTooManyRequests {
		t.Errorf("at another byte: status %d, want 429", status)
	}
	if status, at := u.part(strconv.Itoa(first), bytes.NewReader(u.blob[first:first+100]), 100); status != http.StatusAccepted || at != first+100 {
		t.Errorf("a part: status %d, on at %d, want 202 and %d", status, at, first+100)
	}
	if status, _ := u.part(strconv.Itoa(first+100), bytes.NewReader(u.blob[first+100:]), int64(len(u.blob)-first-100)); status != http.StatusNoContent {
		t.Errorf("the rest: status %d, want 204", status)
	}
	u.where(0) // it says nothing of what it has (T3)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.Info().URL+protocol.PathBlobs+task.Sum(u.blob).String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, got := do(t, req); status != http.StatusOK || got != string(u.blob) {
		t.Errorf("read with status %d: %d bytes, want %d", status, len(got), len(u.blob))
	}
	// Wrong bytes are found out when all have come, and can be sent anew.
	wrong := bytes.Clone(u.blob)
	wrong[9] ^= 1
	u.blob = append(bytes.Clone(u.blob), 'x')
	wrong = append(wrong, 'x')
	u.part("0", bytes.NewReader(wrong[:first]), first)
	if status, _ := u.part(strconv.Itoa(first), bytes.NewReader(wrong[first:]), int64(len(wrong)-first)); status != http.StatusBadRequest {
		t.Errorf("wrong bytes: status %d, want 400", status)
	}
	u.where(0)
}
