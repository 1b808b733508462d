package coordinatortest_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sheafgrid/sheaf/coordinator/backup"
	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// source reads a cluster as its operator, or as somebody else.
type source struct {
	c      *coordinatortest.Cluster
	reader *coordinatortest.Party
	asked  int // blobs
	fail   int // after so many, the network breaks
}

var errBroken = errors.New("the network broke")

func (s *source) do(method, path string, body []byte) (*http.Response, error) {
	var view protocol.ClusterView
	s.c.GetJSON(protocol.PathCluster, &view)
	req, err := http.NewRequestWithContext(context.Background(), method, s.c.Nodes[0].URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set(protocol.HeaderKey, s.reader.Public().String())
	req.Header.Set(protocol.HeaderTime, fmt.Sprint(int64(view.Time)))
	req.Header.Set(protocol.HeaderSignature, protocol.EncodeSignature(protocol.SignRead(s.reader.Key, view.Cluster, path, view.Time)))
	res, err := s.c.Client().Do(req)
	if err == nil && res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		err = fmt.Errorf("%s: %s", res.Status, text)
		if res.StatusCode == http.StatusNotFound {
			err = fmt.Errorf("%w: %w", storage.ErrNotFound, err)
		}
	}
	return res, err
}

func (s *source) Cluster(context.Context) (task.ClusterID, error) {
	var view protocol.ClusterView
	s.c.GetJSON(protocol.PathCluster, &view)
	return view.Cluster, nil
}

func (s *source) Snapshot(context.Context) (uint64, io.ReadCloser, error) {
	res, err := s.do(http.MethodGet, protocol.PathSnapshot, nil)
	if err != nil {
		return 0, nil, err
	}
	var index [8]byte
	_, err = io.ReadFull(res.Body, index[:])
	return binary.BigEndian.Uint64(index[:]), res.Body, err
}

func (s *source) Batch(_ context.Context, needed []backup.Needed, fn func(int, []byte) error) error {
	if s.asked += len(needed); s.fail > 0 && s.asked > s.fail {
		return errBroken
	}
	var asked []protocol.Asked
	for _, n := range needed {
		asked = append(asked, protocol.Asked{Blob: n.Digest, Stage: n.Stage, Index: n.Index})
	}
	list := protocol.EncodeAsked(asked)
	res, err := s.do(http.MethodPost, protocol.OperatorBatchPath(needed[0].Area.String(), task.Sum(list)), list)
	if err != nil {
		return err
	}
	return protocol.ReadBatch(res.Body, storage.MaxSmallSize, fn)
}

func (s *source) Blob(_ context.Context, area backup.Area, d task.Digest) (int64, io.ReadCloser, error) {
	s.asked++
	res, err := s.do(http.MethodGet, protocol.OperatorBlobPath(area.String(), d), nil)
	if err != nil {
		return 0, nil, err
	}
	b, err := io.ReadAll(res.Body)
	return int64(len(b)), io.NopCloser(bytes.NewReader(b)), err
}

// largeEvery leaves an output of its own size in every hundredth task.
func largeEvery(t *task.Task) (task.Exit, map[string]string) {
	out := map[string]string{"stdout": t.Args[0]}
	if t.Index%100 == 0 && t.Level == 0 {
		out["out/large"] = strings.Repeat(fmt.Sprint("large ", t.Index), 30_000)
	}
	return 0, out
}

// backedUp is a cluster with a job of which one chunk is sealed and another is in
// the making.
func backedUp(t *testing.T) *coordinatortest.Cluster {
	c := coordinatortest.New(t, 3)
	p := c.NewPublisher(1, program(t))
	s := spec(t, 5000, 2)
	s.Limits.Output = 1 << 20
	id := p.Submit(s)
	hosts := []*coordinatortest.Host{c.NewHost(1, largeEvery), c.NewHost(2, largeEvery), c.NewHost(3, liar)}
	for _, h := range hosts {
		h.Facts.Cores = 64
	}
	c.WaitFor("a chunk to be sealed", func() bool {
		for _, h := range hosts {
			h.Contact(250)
		}
		sealed := uint64(0)
		c.Leader().State(func(s *state.State) { sealed = s.Stage(1).Sealed })
		return sealed == 1
	})
	if c.Job(id).State != "running" {
		t.Fatal("the job ended too early")
	}
	return c
}

// A backup holds everything; one that was cut or changed anywhere is found out;
// one that was interrupted goes on.
func TestBackupIsWholeOrFoundOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := backedUp(t)
		defer c.Stop()
		dir := t.TempDir()
		path := filepath.Join(dir, "a.backup")

		stranger := &source{c: c, reader: c.NewParty(1)}
		if _, err := backup.Take(t.Context(), stranger, path, nil); err == nil || !strings.Contains(err.Error(), "is not the cluster's operator") {
			t.Errorf("somebody else: got %v", err)
		}
		src := &source{c: c, reader: c.Operator(), fail: 700}
		if _, err := backup.Take(t.Context(), src, path, nil); !errors.Is(err, errBroken) {
			t.Fatalf("got %v, want that the network broke", err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("a part of a backup has the name of a whole one")
		}
		first := src.asked
		src.fail, src.asked = 0, 0
		m, err := backup.Take(t.Context(), src, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		index, digest := c.Leader().Digest()
		if m.Index != index || m.State != digest || m.Outputs < 100 {
			t.Errorf("the manifest is %+v, the cluster is at entry %d with state %s", m, index, digest.Short())
		}
		again := &source{c: c, reader: c.Operator()}
		if _, err := backup.Take(t.Context(), again, filepath.Join(dir, "b.backup"), nil); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d blobs asked for before it broke, %d afterwards, %d at once", first, src.asked, again.asked)
		if src.asked >= again.asked {
			t.Errorf("%d blobs were asked for after %d, and %d for a whole backup: it did not go on where it was", src.asked, first, again.asked)
		}
		damaged(t, path)
	})
}

// damaged tries parts of a backup, and changes of it.
func damaged(t *testing.T, path string) {
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(b []byte, want error, what string) {
		t.Helper()
		other := path + ".other"
		if err := os.WriteFile(other, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := backup.Check(t.Context(), other); !errors.Is(err, want) || !strings.Contains(err.Error(), other) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	for i := range 24 {
		n := len(whole) * i / 24
		try(whole[:n], backup.ErrCut, fmt.Sprintf("cut to %d of %d bytes", n, len(whole)))
		b := bytes.Clone(whole)
		b[n] ^= 1 << (i % 8)
		try(b, backup.ErrDamaged, fmt.Sprintf("byte %d changed", n))
	}
	try(whole[:len(whole)-1], backup.ErrCut, "the last byte missing")
	try(append(bytes.Clone(whole), 0), backup.ErrDamaged, "a byte more")
	try([]byte("something else altogether"), backup.ErrDamaged, "another file")
}
