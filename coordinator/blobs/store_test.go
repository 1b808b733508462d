package blobs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/faulty"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/task"
)

// cluster is nodes whose stores are joined over real HTTP on loopback.
type cluster struct {
	t      *testing.T
	stores []*blobs.Store
	inner  []*faulty.Store // public blobs of each node
	urls   []string
	down   map[int]bool

	joining map[int]bool
	leaving map[task.NodeID]bool
	changes map[int]uint64 // of the members, that each node knows of
}

func nodeName(i int) task.NodeID { return task.NodeID(rune('a' + i)) }

func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, down: map[int]bool{}, joining: map[int]bool{}, leaving: map[task.NodeID]bool{}, changes: map[int]uint64{}}
	urls := make([]string, n)
	c.urls = urls
	for i := range n {
		public, outputs := faulty.New(newMemory(t)), newMemory(t)
		peers := func() (blobs.Peers, error) {
			peers := blobs.Peers{Voter: !c.joining[i], Leaving: c.leaving, Leaves: c.leaving[nodeName(i)]}
			for k := range n {
				if k == i {
					continue
				}
				url := urls[k]
				if c.down[k] {
					url = "http://127.0.0.1:1"
				}
				p := blobs.NewPeer(nodeName(k), url, c.changes[i], http.DefaultClient)
				if c.joining[k] {
					peers.Joining = append(peers.Joining, p)
				} else {
					peers.Voters = append(peers.Voters, p)
				}
			}
			return peers, nil
		}
		s := blobs.New(public, outputs, peers, slog.New(slog.NewTextHandler(io.Discard, nil)))
		server := httptest.NewServer(s.Handler(func() uint64 { return c.changes[i] }))
		t.Cleanup(server.Close)
		t.Cleanup(s.Close)
		urls[i] = server.URL
		c.stores, c.inner = append(c.stores, s), append(c.inner, public)
	}
	return c
}

func newMemory(t *testing.T) *memory.Store {
	t.Helper()
	m, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (c *cluster) put(node int, b []byte) error {
	return c.stores[node].Put(context.Background(), blobs.Public, task.Sum(b), int64(len(b)), bytes.NewReader(b))
}

// copies is how many nodes have a blob themselves. A put returns with a
// majority: what is still on its way, from any node, arrives before any is asked.
func (c *cluster) copies(area blobs.Area, digest task.Digest) int {
	for _, s := range c.stores {
		s.Close()
	}
	n := 0
	for _, s := range c.stores {
		if ok, err := s.Local(area).Has(context.Background(), digest); err == nil && ok {
			n++
		}
	}
	return n
}

func TestR1PutReachesAMajority(t *testing.T) {
	for _, size := range []int{0, 1, 3 << 20} {
		c := newCluster(t, 3)
		b := bytes.Repeat([]byte("x"), size)
		if err := c.put(0, b); err != nil {
			t.Fatal(err)
		}
		if n := c.copies(blobs.Public, task.Sum(b)); n != 3 {
			t.Errorf("%d bytes are on %d nodes, want all 3", size, n)
		}
	}
	c := newCluster(t, 3)
	c.down[2] = true
	if err := c.put(0, []byte("one is down")); err != nil {
		t.Errorf("R1: with one of three down: %v", err)
	}
	c.down[1] = true
	if err := c.put(0, []byte("two are down")); !errors.Is(err, blobs.ErrNoMajority) {
		t.Errorf("R1: with two of three down: got %v, want ErrNoMajority", err)
	}
}

func TestBatchesReachAMajority(t *testing.T) {
	c := newCluster(t, 3)
	small := []storage.Small{{Digest: task.Sum([]byte("a")), Bytes: []byte("a")}, {Digest: task.EmptyDigest}}
	if err := c.stores[1].PutBatch(context.Background(), blobs.Outputs, small); err != nil {
		t.Fatal(err)
	}
	for _, s := range small {
		if n := c.copies(blobs.Outputs, s.Digest); n != 3 {
			t.Errorf("output of %d bytes is on %d nodes", len(s.Bytes), n)
		}
		if n := c.copies(blobs.Public, s.Digest); n != 0 {
			t.Errorf("T3: an output is among the public blobs of %d nodes", n)
		}
	}
	small[0].Bytes = []byte("b")
	if err := c.stores[1].PutBatch(context.Background(), blobs.Outputs, small); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("a wrong digest: %v", err)
	}
}

// A node whose own disk is full still stores on the others, and reads what they
// have.
func TestFullDiskHereIsNotTheClusters(t *testing.T) {
	c := newCluster(t, 3)
	full := c.inner[0]
	b := []byte("no room for this")
	small := []storage.Small{{Digest: task.Sum(b), Bytes: b}}
	full.Script(faulty.Fault{Op: faulty.PutBatch, Call: full.Calls(faulty.PutBatch) + 1, Err: storage.ErrNoSpace})
	if err := c.stores[0].PutBatch(context.Background(), blobs.Public, small); err != nil {
		t.Fatalf("R1: two of three have room: %v", err)
	}
	if n := c.copies(blobs.Public, small[0].Digest); n != 2 {
		t.Errorf("it is on %d nodes, want 2", n)
	}
	full.Script(faulty.Fault{Op: faulty.Put, Call: full.Calls(faulty.Put) + 1, Err: storage.ErrNoSpace})
	if got, err := c.stores[0].ReadAll(context.Background(), blobs.Public, small[0].Digest, 100); err != nil || !bytes.Equal(got, b) {
		t.Errorf("read %q, %v", got, err)
	}
	c.down[1] = true
	full.Script(faulty.Fault{Op: faulty.PutBatch, Call: full.Calls(faulty.PutBatch) + 1, Err: storage.ErrNoSpace})
	other := []storage.Small{{Digest: task.Sum([]byte("x")), Bytes: []byte("x")}}
	if err := c.stores[0].PutBatch(context.Background(), blobs.Public, other); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("R1: one of three has room: got %v, want ErrNoSpace", err)
	}
}

// A batch that is larger than what one message holds reaches the peers in
// several.
func TestLargeBatchesAreCut(t *testing.T) {
	c := newCluster(t, 2)
	var small []storage.Small
	for i := range 300 {
		b := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, storage.MaxSmallSize/2)
		small = append(small, storage.Small{Digest: task.Sum(b), Bytes: b})
	}
	if err := c.stores[0].PutBatch(context.Background(), blobs.Outputs, small); err != nil {
		t.Fatal(err)
	}
	for _, s := range []storage.Small{small[0], small[299]} {
		if n := c.copies(blobs.Outputs, s.Digest); n != 2 {
			t.Errorf("output %s is on %d nodes", s.Digest.Short(), n)
		}
	}
}

func TestReadingFetchesAndRepairs(t *testing.T) {
	c := newCluster(t, 3)
	b := []byte("somewhere else")
	digest := task.Sum(b)
	if err := c.stores[1].Local(blobs.Public).Put(context.Background(), digest, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	got, err := c.stores[0].ReadAll(context.Background(), blobs.Public, digest, 100)
	if err != nil || !bytes.Equal(got, b) {
		t.Fatalf("got %q, %v", got, err)
	}
	if n := c.copies(blobs.Public, digest); n != 2 {
		t.Errorf("after reading it is on %d nodes, want 2", n)
	}
	// Node 0 finds its copy damaged, and takes node 1's.
	c.inner[0].Script(faulty.Fault{Op: faulty.Open, Call: c.inner[0].Calls(faulty.Open) + 1, Err: storage.ErrCorrupt})
	if got, err = c.stores[0].ReadAll(context.Background(), blobs.Public, digest, 100); err != nil || !bytes.Equal(got, b) {
		t.Errorf("after damage: got %q, %v", got, err)
	}
	if _, err := c.stores[2].Open(context.Background(), blobs.Public, task.Sum([]byte("nowhere"))); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a blob that is nowhere: %v", err)
	}
	if ok, err := c.stores[2].Have(context.Background(), blobs.Public, task.Sum([]byte("nowhere"))); ok || err != nil {
		t.Errorf("a blob that is nowhere: %v, %v", ok, err)
	}
}

// Damage that is met in the middle of a blob is mended there: who reads notices
// nothing.
func TestDamageIsMendedWhileReading(t *testing.T) {
	c := newCluster(t, 3)
	b := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	if err := c.put(0, b); err != nil {
		t.Fatal(err)
	}
	if n := c.copies(blobs.Public, task.Sum(b)); n != 3 {
		t.Fatalf("it is on %d nodes", n)
	}
	blob, err := c.stores[0].Open(context.Background(), blobs.Public, task.Sum(b))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	c.inner[0].Script(faulty.Fault{Op: faulty.ReadAt, Call: 3, Err: storage.ErrCorrupt, After: 100})
	got, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	if err != nil || !bytes.Equal(got, b) {
		t.Errorf("read %d bytes, %v, want all %d", len(got), err, len(b))
	}
	if n := c.inner[0].Calls(faulty.Put); n != 1 {
		t.Errorf("the damaged blob was put %d times, want once", n)
	}
	for i := range c.stores {
		c.down[i] = i > 0
	}
	c.inner[0].Script(faulty.Fault{Op: faulty.ReadAt, Err: storage.ErrCorrupt})
	blob, err = c.stores[0].Open(context.Background(), blobs.Public, task.Sum(b))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if _, err := blob.ReadAt(make([]byte, 10), 0); !errors.Is(err, blobs.ErrUnsure) {
		t.Errorf("damaged, and no peer is there: %v, want ErrUnsure", err)
	}
}

func TestOutputsArePublishedByCopying(t *testing.T) {
	c := newCluster(t, 3)
	b := []byte("result")
	if err := c.stores[0].PutBatch(context.Background(), blobs.Outputs, []storage.Small{{Digest: task.Sum(b), Bytes: b}}); err != nil {
		t.Fatal(err)
	}
	if err := c.stores[0].Publish(context.Background(), task.Sum(b)); err != nil {
		t.Fatal(err)
	}
	if n := c.copies(blobs.Public, task.Sum(b)); n != 3 {
		t.Errorf("published on %d nodes", n)
	}
	if err := c.stores[0].Publish(context.Background(), task.Digest{1}); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("publishing what is not there: %v", err)
	}
}

// R1: a blob that a majority acknowledged is not called missing because those
// who have it do not answer now. Whoever was told so would give up.
func TestR1NotMissingBecauseNobodyAnswers(t *testing.T) {
	c := newCluster(t, 3)
	b := []byte("on two of three")
	digest := task.Sum(b)
	for _, n := range []int{0, 1} {
		if err := c.stores[n].Local(blobs.Public).Put(t.Context(), digest, int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
	}
	nowhere := task.Sum([]byte("nowhere"))
	for _, k := range []struct {
		name   string
		down   []int
		digest task.Digest
		want   error
	}{
		{"both that have it are down", []int{0, 1}, digest, blobs.ErrUnsure},
		{"one that has it is down", []int{0}, digest, nil},
		{"nobody has it", nil, nowhere, storage.ErrNotFound},
		{"nobody has it, and one is down", []int{0}, nowhere, storage.ErrNotFound},
		{"nobody has it, and two are down", []int{0, 1}, nowhere, blobs.ErrUnsure},
	} {
		clear(c.down)
		for _, n := range k.down {
			c.down[n] = true
		}
		_, err := c.stores[2].ReadAll(t.Context(), blobs.Public, k.digest, 1<<20)
		if !errors.Is(err, k.want) || errors.Is(err, storage.ErrNotFound) != (k.want == storage.ErrNotFound) {
			t.Errorf("%s: got %v, want %v", k.name, err, k.want)
		}
		if k.want == nil {
			if err := c.stores[2].Local(blobs.Public).Delete(t.Context(), digest); err != nil {
				t.Fatal(err)
			}
		}
	}
}
