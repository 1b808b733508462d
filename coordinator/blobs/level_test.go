package blobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/faulty"
	"github.com/sheafgrid/sheaf/task"
)

// keep stores a blob on some nodes only, as if the others had been down.
func (c *cluster) keep(area blobs.Area, b []byte, nodes ...int) task.Digest {
	c.t.Helper()
	d := task.Sum(b)
	for _, n := range nodes {
		if err := c.stores[n].Local(area).Put(context.Background(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
			c.t.Fatal(err)
		}
	}
	return d
}

// content is distinct bytes of a size.
func content(n, size int) []byte {
	return append(fmt.Appendf(nil, "%d ", n), bytes.Repeat([]byte{byte(n)}, size)...)
}

func (c *cluster) peer(i int) blobs.Peer {
	url := c.urls[i]
	if c.down[i] {
		url = "http://127.0.0.1:1"
	}
	return blobs.NewPeer(nodeName(i), url, 1<<60, http.DefaultClient)
}

// A node that joins copies everything, of every size and both areas, from
// whoever has it; and once more costs nothing.
func TestGatherCopiesEverything(t *testing.T) {
	c := newCluster(t, 3)
	c.joining[2] = true
	var want []task.Digest
	for n := range 2500 { // more than one message holds
		want = append(want, c.keep(blobs.Outputs, content(n, n%200), n%2))
	}
	large := c.keep(blobs.Outputs, content(1, 3<<20), 0)
	public := c.keep(blobs.Public, content(2, 70<<10), 1)
	var done blobs.Copied
	missed, err := c.stores[2].Gather(context.Background(), 0, &done)
	if err != nil || missed != 0 {
		t.Fatalf("missed %d, %v", missed, err)
	}
	for area, digests := range map[blobs.Area][]task.Digest{blobs.Outputs: append(want, large), blobs.Public: {public}} {
		for _, d := range digests {
			if ok, err := c.stores[2].Local(area).Has(context.Background(), d); !ok || err != nil {
				t.Fatalf("blob %s of %s was not copied: %v", d.Short(), area, err)
			}
		}
	}
	if n := done.Blobs.Load(); n != 2502 {
		t.Errorf("%d blobs were copied, want 2502", n)
	}
	if _, err := c.stores[2].Gather(context.Background(), 0, &done); err != nil || done.Blobs.Load() != 2502 {
		t.Errorf("once more: %d blobs in all, %v; want no more", done.Blobs.Load(), err)
	}
}

func TestGatherNeedsSomebody(t *testing.T) {
	c := newCluster(t, 3)
	c.joining[2], c.down[0] = true, true
	d := c.keep(blobs.Outputs, content(1, 10), 1)
	var done blobs.Copied
	if _, err := c.stores[2].Gather(context.Background(), 0, &done); err != nil || c.copies(blobs.Outputs, d) != 2 {
		t.Errorf("with one of two down: %v", err)
	}
	c.down[1] = true
	if _, err := c.stores[2].Gather(context.Background(), 0, &done); err == nil {
		t.Error("with both down: no error")
	}
}

// R1: before c goes, what only a and c have is copied to b; what a majority of
// those that stay has is left alone.
func TestLevelBeforeARemoval(t *testing.T) {
	for _, size := range []int{0, 70 << 10, 2 << 20} {
		c := newCluster(t, 3)
		short := c.keep(blobs.Outputs, content(1, size), 0, 2)
		alone := c.keep(blobs.Public, content(2, size), 2)
		fine := c.keep(blobs.Outputs, content(3, size), 0, 1)
		change := blobs.Change{Self: "a", Voters: map[task.NodeID]bool{"a": true, "b": true}, Peers: []blobs.Peer{c.peer(1), c.peer(2)}}
		got, err := c.stores[0].Level(context.Background(), change)
		if want := (blobs.Levelled{Blobs: 3, Copied: 2}); err != nil || got != want {
			t.Errorf("size %d: got %+v, %v; want %+v", size, got, err, want)
		}
		for area, d := range map[blobs.Area]task.Digest{blobs.Public: alone, blobs.Outputs: short} {
			for i, s := range c.stores {
				if ok, _ := s.Local(area).Has(context.Background(), d); !ok {
					t.Errorf("size %d: blob %s is not on node %d", size, d.Short(), i)
				}
			}
		}
		if n := c.copies(blobs.Outputs, fine); n != 2 {
			t.Errorf("size %d: a blob that was on enough nodes is on %d now", size, n)
		}
	}
}

// A member that does not answer has nothing, as far as anybody knows.
func TestLevelSaysWhatIsShort(t *testing.T) {
	c := newCluster(t, 3)
	c.keep(blobs.Outputs, content(1, 10), 0, 2)
	c.keep(blobs.Public, content(1, 2<<20), 0, 2)
	c.down[1] = true
	change := blobs.Change{Self: "a", Voters: map[task.NodeID]bool{"a": true, "b": true}, Peers: []blobs.Peer{c.peer(1), c.peer(2)}}
	got, err := c.stores[0].Level(context.Background(), change)
	if err != nil || got.Short != 2 || got.Copied != 0 || got.Why == nil {
		t.Errorf("got %+v, %v; want 2 blobs short, and why", got, err)
	}
}

// listing is a peer whose list is another one, and comes late.
type listing struct {
	blobs.Peer
	before func()
	more   []blobs.Listed
}

func (p listing) List(ctx context.Context, area blobs.Area, fn func(blobs.Listed) error) error {
	p.before()
	for _, m := range p.more {
		if area == blobs.Outputs {
			if err := fn(m); err != nil {
				return err
			}
		}
	}
	return p.Peer.List(ctx, area, fn)
}

// What is stored, and what goes, while the lists are made is not short: under load
// Level would never be done.
func TestLevelUnderLoad(t *testing.T) {
	c := newCluster(t, 3)
	meanwhile := func() { c.keep(blobs.Public, content(1, 10), 0, 1) } // a was listed before
	dropped := blobs.Listed{Group: 7, Size: 9}                         // c has it no more
	gone := false
	change := blobs.Change{
		Self: "a", Voters: map[task.NodeID]bool{"a": true, "b": true, "c": true},
		Peers:    []blobs.Peer{listing{c.peer(1), meanwhile, nil}, listing{c.peer(2), func() {}, []blobs.Listed{dropped}}},
		Unneeded: func(uint64) (was bool) { was, gone = gone, true; return was },
	}
	got, err := c.stores[0].Level(context.Background(), change)
	if want := (blobs.Levelled{Blobs: 2}); err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

// Small blobs that only peers have come from each in one message.
func TestLevelReadsTogether(t *testing.T) {
	c := newCluster(t, 3)
	asked := map[task.NodeID]int{}
	for n := range 200 {
		c.keep(blobs.Outputs, content(n, 10), 1+n%2)
	}
	change := blobs.Change{
		Self: "a", Voters: map[task.NodeID]bool{"a": true, "b": true, "c": true},
		Peers: []blobs.Peer{counted{c.peer(1), asked}, counted{c.peer(2), asked}},
	}
	got, err := c.stores[0].Level(context.Background(), change)
	if want := (blobs.Levelled{Blobs: 200, Copied: 200}); err != nil || got != want || asked["b"] != 1 || asked["c"] != 1 {
		t.Errorf("got %+v, %v, asked %v; want %+v, and each asked once", got, err, asked, want)
	}
}

// counted counts how often a peer is asked for blobs.
type counted struct {
	blobs.Peer
	asked map[task.NodeID]int
}

func (p counted) GetBatch(ctx context.Context, area blobs.Area, digests []task.Digest) ([]storage.Small, error) {
	p.asked[p.Name()]++
	return p.Peer.GetBatch(ctx, area, digests)
}

// Damage everywhere is reported, and does not keep the members as they are for
// ever; a copy that is whole is used.
func TestLevelAndDamage(t *testing.T) {
	c := newCluster(t, 3)
	c.keep(blobs.Public, content(1, 10), 0, 2)
	c.inner[0].Script(faulty.Fault{Op: faulty.Open, Err: storage.ErrCorrupt})
	change := blobs.Change{Self: "a", Voters: map[task.NodeID]bool{"a": true, "b": true}, Peers: []blobs.Peer{c.peer(1), c.peer(2)}}
	if got, err := c.stores[0].Level(context.Background(), change); err != nil || got.Copied != 1 {
		t.Errorf("one copy is damaged: got %+v, %v; want it copied", got, err)
	}
	c.keep(blobs.Public, content(2, 10), 2)
	c.inner[2].Script(faulty.Fault{Op: faulty.Open, Err: storage.ErrCorrupt})
	if got, err := c.stores[0].Level(context.Background(), change); err != nil || got.Lost != 1 || got.Short != 0 {
		t.Errorf("the only copy is damaged: got %+v, %v; want it lost", got, err)
	}
}

// R1: while c is about to be removed, a blob must be on a majority without it.
func TestLeavingCountsForNothing(t *testing.T) {
	c := newCluster(t, 3)
	c.leaving["c"] = true
	b := content(1, 10)
	if err := c.put(0, b); err != nil || c.copies(blobs.Public, task.Sum(b)) < 2 {
		t.Errorf("all are up: %v", err)
	}
	c.down[1] = true
	if err := c.put(0, content(2, 10)); !errors.Is(err, blobs.ErrNoMajority) {
		t.Errorf("R1: on a and c, of which c leaves: got %v, want ErrNoMajority", err)
	}
	if err := c.put(2, content(3, 10)); !errors.Is(err, blobs.ErrNoMajority) {
		t.Errorf("R1: on c and a, of which c leaves: got %v, want ErrNoMajority", err)
	}
	delete(c.leaving, "c")
	if err := c.put(0, content(4, 10)); err != nil {
		t.Errorf("on a and c, and nobody leaves: %v", err)
	}
}

// R1: a node that has not heard of a change must not count by the old members.
func TestStaleMembersAreRefused(t *testing.T) {
	c := newCluster(t, 3)
	c.changes[1], c.changes[2] = 5, 5
	c.changes[0] = 4
	small := []storage.Small{{Digest: task.Sum([]byte("x")), Bytes: []byte("x")}}
	if err := c.peerAs(1, 4).PutBatch(context.Background(), blobs.Outputs, blobs.NewParcel(small)); !errors.Is(err, blobs.ErrMembersChanged) {
		t.Errorf("a batch as of an earlier change: got %v, want ErrMembersChanged", err)
	}
	if err := c.peerAs(1, 4).Put(context.Background(), blobs.Outputs, small[0].Digest, 1, bytes.NewReader([]byte("x"))); !errors.Is(err, blobs.ErrMembersChanged) {
		t.Errorf("a blob as of an earlier change: got %v, want ErrMembersChanged", err)
	}
	if c.copies(blobs.Outputs, small[0].Digest) != 0 {
		t.Error("it was stored all the same")
	}
	c.changes[0] = 6 // it has heard of more than they have
	if err := c.stores[0].PutBatch(context.Background(), blobs.Outputs, small); err != nil {
		t.Error(err)
	}
}

func (c *cluster) peerAs(i int, changes uint64) blobs.Peer {
	return blobs.NewPeer(nodeName(i), c.urls[i], changes, http.DefaultClient)
}

// What is stored while a node joins reaches it, too, and does not wait for it.
func TestJoiningGetsWhatIsStored(t *testing.T) {
	c := newCluster(t, 3)
	c.joining[2] = true
	b := content(1, 10)
	if err := c.put(0, b); err != nil || c.copies(blobs.Public, task.Sum(b)) != 3 {
		t.Errorf("it is on %d nodes, %v; want all 3", c.copies(blobs.Public, task.Sum(b)), err)
	}
	c.down[1] = true
	if err := c.put(0, content(2, 10)); !errors.Is(err, blobs.ErrNoMajority) {
		t.Errorf("R1: on one of two voters, and one that joins: got %v, want ErrNoMajority", err)
	}
}
