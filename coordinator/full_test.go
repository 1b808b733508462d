package coordinator_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// A disk without room for blobs refuses uploads, says why, and refuses nothing
// else.
func TestFullDiskRefusesUploadsAlone(t *testing.T) {
	cfg := config(t, "n1")
	cfg.Bootstrap = &coordinator.Bootstrap{Anyone: true}
	cfg.Reserve = 1 << 60
	n := start(t, cfg)
	defer n.stop(t)
	n.members(t, "n1")
	var cluster task.ClusterID
	var now task.Millis
	n.State(func(s *state.State) { cluster, now = s.Cluster().ID, s.Cluster().Now })
	url := n.Info().URL
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	b := []byte("no room for this")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+protocol.PathBlobs+task.Sum(b).String(), bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(protocol.HeaderKey, protocol.PublicKey(key).String())
	req.Header.Set(protocol.HeaderSignature, protocol.EncodeSignature(protocol.SignUpload(key, cluster, task.Sum(b))))
	if status, text := do(t, req); status != http.StatusInsufficientStorage || !strings.Contains(text, "kept for other things") {
		t.Errorf("an upload is answered %d %s, want 507 with the reason", status, text)
	}

	e := &protocol.Envelope{
		Version: protocol.Version, Cluster: cluster, Session: 1, Opened: now, Number: 1,
		Purpose: protocol.PurposeCreateProject, Payload: wire.Marshal(protocol.CreateProject{Name: "p"}),
	}
	e.Sign(key)
	req, err = http.NewRequestWithContext(t.Context(), http.MethodPost, url+protocol.PathRequests, bytes.NewReader(e.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	_, text := do(t, req)
	if r, err := protocol.DecodeReply([]byte(text)); err != nil || r.Error != nil {
		t.Errorf("a request is answered %v, %v", r, err)
	}

	req, err = http.NewRequestWithContext(t.Context(), http.MethodGet, url+protocol.PathStorage, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, text = do(t, req)
	var v protocol.StorageView
	if err := json.Unmarshal([]byte(text), &v); err != nil || v.Node != "n1" || v.Reserve != 1<<60 || v.Free <= 0 || v.Public.Blobs != 0 {
		t.Errorf("the node says of its disk %s (%v)", text, err)
	}
}

func do(t *testing.T, req *http.Request) (status int, text string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}
