// Package coordinatortest runs whole clusters of coordinators inside of one
// test: real state, consensus, exchanges and HTTP handlers, over raft's
// in-memory transport and an HTTP transport that calls handlers directly. In a
// testing/synctest bubble an election takes no time on the wall clock.
//
// Nodes are killed without a word and come back from their stores; hosts and
// publishers are simulated down to signatures and request numbers.
package coordinatortest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/collect"
	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/task"
)

// Cluster is a cluster of coordinators in memory.
type Cluster struct {
	TB    testing.TB
	Nodes []*Node

	mu    sync.Mutex
	began time.Time
	ahead time.Duration // by which Skip moved the nodes' clocks
}

// Skip lets time pass for the cluster: its clocks jump forward, and nothing else
// happens meanwhile. It returns by how much they have jumped so far.
func (c *Cluster) Skip(d time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
	return c.ahead
}

// monotonic is what the nodes' clocks say, in milliseconds.
func (c *Cluster) monotonic() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return (time.Since(c.began) + c.ahead).Milliseconds()
}

// Node is one coordinator. Its stores outlive it, as a disk does.
type Node struct {
	Name      task.NodeID
	URL       string
	identity  coordinator.Identity
	raft      consensus.Stores
	transport *raft.InmemTransport
	blobs     *coordinator.Collected
	running   *coordinator.Assembly // nil while the node is down
	stop      func() error
}

// clusterID is the id of every cluster here.
var clusterID = task.ClusterID{0xc1}

// New starts a cluster of n nodes and waits until each is a voter. Stop must
// be called before the test ends.
func New(tb testing.TB, n int) *Cluster {
	tb.Helper()
	c := &Cluster{TB: tb, began: time.Now()}
	for range n {
		c.Add("")
	}
	return c
}

// Add starts one more node, which joins and takes the place of a lost member,
// if one is named, and waits until it is a voter.
func (c *Cluster) Add(replaces task.NodeID) *Node {
	c.TB.Helper()
	name := task.NodeID(fmt.Sprintf("n%d", len(c.Nodes)+1))
	log := raft.NewInmemStore()
	node := &Node{
		Name: name, URL: "http://" + string(name) + ".test", blobs: blobs(c.TB),
		raft: consensus.Stores{Log: log, Stable: log, Snapshots: raft.NewInmemSnapshotStore()},
		identity: coordinator.Identity{
			Format: 1, Node: name, Cluster: clusterID, Secret: bytes.Repeat([]byte{7}, 32),
			URL: "http://" + string(name) + ".test", Raft: string(name), Replaces: replaces,
		},
	}
	if len(c.Nodes) == 0 {
		node.identity.Bootstrap = &coordinator.Bootstrap{Anyone: true}
	}
	c.mu.Lock()
	c.Nodes = append(c.Nodes, node)
	c.mu.Unlock()
	c.Start(node)
	c.WaitFor(fmt.Sprintf("%s to be admitted", name), func() bool {
		known := false
		lead := c.Leader()
		lead.State(func(s *state.State) { _, known = s.Member(name) })
		voters, err := lead.Voters()
		_, voter := voters[name]
		return known && voter && err == nil
	})
	return node
}

// blobs are a node's stores. The clock that says when something was put into
// them lives as long.
func blobs(tb testing.TB) *coordinator.Collected {
	clock, err := collect.OpenClock("")
	if err != nil {
		tb.Fatal(err)
	}
	open := func() *collect.Store {
		s, err := memory.New(memory.Config{})
		if err != nil {
			tb.Fatal(err)
		}
		return collect.NewStore(s, clock)
	}
	return &coordinator.Collected{Public: open(), Outputs: open(), Clock: clock}
}

func logger() *slog.Logger {
	if os.Getenv("SHEAF_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

// Start runs a node on its stores.
func (c *Cluster) Start(n *Node) {
	c.TB.Helper()
	_, n.transport = raft.NewInmemTransport(raft.ServerAddress(n.Name))
	n.raft.Transport = n.transport
	for _, other := range c.Nodes {
		if other != n && other.running != nil {
			other.transport.Connect(raft.ServerAddress(n.Name), n.transport)
			n.transport.Connect(raft.ServerAddress(other.Name), other.transport)
		}
	}
	a, err := coordinator.Assemble(coordinator.Parts{
		Identity: n.identity, Raft: n.raft, Public: n.blobs.Public, Outputs: n.blobs.Outputs, Collect: n.blobs, Peers: c.Client(),
		Now:  c.monotonic,
		Join: c.Nodes[0].URL, Local: true, Timing: consensus.TimingLAN(), Logger: logger().With("node", n.Name),
	})
	if err != nil {
		c.TB.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	c.mu.Lock()
	n.running = a
	c.mu.Unlock()
	n.stop = func() error { cancel(); return <-done }
}

// TakePlaceOf lets a node that is down ask, when it is started again, for the
// place of a lost member.
func (n *Node) TakePlaceOf(lost task.NodeID) { n.identity.Replaces = lost }

// Kill ends a node without a word to the others.
func (c *Cluster) Kill(n *Node) {
	c.TB.Helper()
	for _, other := range c.Nodes {
		if other != n && other.running != nil {
			other.transport.Disconnect(raft.ServerAddress(n.Name))
		}
	}
	n.transport.DisconnectAll()
	c.mu.Lock()
	n.running = nil
	c.mu.Unlock()
	if err := n.stop(); err != nil {
		c.TB.Fatal(err)
	}
}

// Stop ends all nodes.
func (c *Cluster) Stop() {
	for _, n := range c.Nodes {
		if n.running != nil {
			c.Kill(n)
		}
	}
}

// WaitFor waits, in the bubble's time, until something holds.
func (c *Cluster) WaitFor(what string, holds func() bool) {
	c.TB.Helper()
	for range 6000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.TB.Fatalf("waited a minute for %s", what)
}

// LeaderNode is the node that leads; it waits until there is one.
func (c *Cluster) LeaderNode() *Node {
	c.TB.Helper()
	var lead *Node
	c.WaitFor("a leader", func() bool {
		for _, n := range c.Nodes {
			if n.running != nil && n.running.Status().Serving {
				lead = n
				return true
			}
		}
		return false
	})
	return lead
}

// Leader is the assembly of the node that leads.
func (c *Cluster) Leader() *coordinator.Assembly { return c.LeaderNode().running }

// Running is a node's assembly, or nil while it is down.
func (n *Node) Running() *coordinator.Assembly { return n.running }

// Check waits until all running nodes have applied the same entries, compares
// their digests (R3), and checks every invariant on each.
func (c *Cluster) Check() {
	c.TB.Helper()
	c.WaitFor("all nodes to apply the same", func() bool {
		seen := map[uint64]task.Digest{}
		for _, n := range c.Nodes {
			if n.running == nil {
				continue
			}
			index, digest := n.running.Digest()
			if other, ok := seen[index]; ok && other != digest {
				c.TB.Fatalf("R3: at entry %d node %s has state %s, another %s", index, n.Name, digest.Short(), other.Short())
			}
			seen[index] = digest
		}
		return len(seen) == 1
	})
	for _, n := range c.Nodes {
		if n.running != nil {
			n.running.State(func(s *state.State) {
				if err := s.Check(); err != nil {
					c.TB.Errorf("node %s: %v", n.Name, err)
				}
			})
		}
	}
}

// Client reaches the nodes by their URLs, as far as they are up.
func (c *Cluster) Client() *http.Client { return &http.Client{Transport: direct{c}} }

// direct hands requests to handlers without a network between.
type direct struct{ c *Cluster }

// RoundTrip calls the handler of the node that the URL names.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	h := d.handler(r.URL.Host)
	if h == nil {
		return nil, fmt.Errorf("dial %s: connection refused", r.URL.Host)
	}
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:4711"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	aborted := serve(h, w, in)
	if aborted || d.handler(r.URL.Host) == nil {
		return nil, fmt.Errorf("read from %s: connection reset", r.URL.Host) // it died while it answered
	}
	return w.Result(), nil
}

// serve calls a handler and reports whether it aborted the connection.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() {
		p := recover()
		if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			aborted = true
		} else if p != nil {
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

func (d direct) handler(host string) http.Handler {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	for _, n := range d.c.Nodes {
		if "http://"+host == n.URL && n.running != nil {
			return n.running.Handler()
		}
	}
	return nil
}

// CollectBlobs makes all running nodes delete the blobs that nobody refers to.
func (c *Cluster) CollectBlobs() {
	c.TB.Helper()
	for _, n := range c.Nodes {
		if n.running == nil {
			continue
		}
		if err := n.running.CollectBlobs(context.Background()); err != nil {
			c.TB.Errorf("node %s: %v", n.Name, err)
		}
	}
}

// Copies is on how many nodes' own disks a public blob or an output is.
func (c *Cluster) Copies(digest task.Digest) (public, outputs int) {
	c.TB.Helper()
	for _, n := range c.Nodes {
		for store, count := range map[*collect.Store]*int{n.blobs.Public: &public, n.blobs.Outputs: &outputs} {
			ok, err := store.Has(context.Background(), digest)
			if err != nil {
				c.TB.Fatal(err)
			}
			if ok {
				*count++
			}
		}
	}
	return public, outputs
}

// TakeAway removes an output from a node's disk, and returns its bytes.
func (n *Node) TakeAway(digest task.Digest) []byte {
	ctx := context.Background()
	b, err := storage.ReadAll(ctx, n.blobs.Outputs, digest, storage.MaxBlobSize)
	if err == nil {
		err = n.blobs.Outputs.Delete(ctx, digest)
	}
	if err != nil {
		panic(err)
	}
	return b
}

// PutBack puts an output onto a node's disk.
func (n *Node) PutBack(b []byte) {
	if err := n.blobs.Outputs.Put(context.Background(), task.Sum(b), int64(len(b)), bytes.NewReader(b)); err != nil {
		panic(err)
	}
}
