// Package coordinatortest runs whole clusters of coordinators inside of one
// test: real state, consensus, exchanges and HTTP handlers, over raft's
// in-memory transport and an HTTP transport that calls handlers directly. In a
// testing/synctest bubble an election takes no time on the wall clock.
//
// Nodes are killed without a word and come back from their stores; hosts and
// publishers are simulated down to signatures and request numbers. With a
// Network, messages take time and get lost, and clocks differ.
package coordinatortest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/coordinator"
	areas "github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/coordinator/collect"
	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/faulty"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/task"
)

// Cluster is a cluster of coordinators in memory.
type Cluster struct {
	TB    testing.TB
	Nodes []*Node
	Net   *Network // nil: messages take no time and arrive

	// CopyRate is how many bytes a second nodes may copy to each other that are
	// started from now on; 0: no limit.
	CopyRate int64

	bucket *coordinator.Bucket // holds the blobs of a cluster that keeps them in one; nil: its nodes do

	mu         sync.Mutex
	onTheirWay sync.WaitGroup // messages, on a network
	ahead      time.Duration  // by which Skip moved the nodes' clocks
}

// Skip lets time pass for the cluster: its clocks jump forward, and nothing else
// happens meanwhile. It returns by how much they have jumped so far.
func (c *Cluster) Skip(d time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
	return c.ahead
}

// now is what a node's own clock says, in milliseconds.
func (c *Cluster) now(n *Node) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead).UnixMilli() + n.ahead.Load()
}

// Node is one coordinator. Its stores outlive it, as a disk does.
type Node struct {
	Name      task.NodeID
	URL       string
	identity  coordinator.Identity
	raft      consensus.Stores
	transport *raft.InmemTransport
	public    *faulty.Store
	outputs   *faulty.Store
	kept      *coordinator.Collected               // what stands before them
	up        atomic.Pointer[coordinator.Assembly] // nil while the node is down
	ended     chan error
	stop      func() error
	ahead     atomic.Int64 // milliseconds that its clock is ahead of the others'
}

// clusterID is the id of every cluster here.
var clusterID = task.ClusterID{0xc1}

// New starts a cluster of n nodes and waits until each is a voter. Stop must
// be called before the test ends.
func New(tb testing.TB, n int) *Cluster {
	tb.Helper()
	return NewOn(tb, n, nil)
}

// NewOn is New on a network.
func NewOn(tb testing.TB, n int, network *Network) *Cluster {
	tb.Helper()
	c := &Cluster{TB: tb, Net: network}
	for range n {
		c.Add("")
	}
	return c
}

// NewInBucket is New for a cluster that keeps all its blobs in a bucket.
func NewInBucket(tb testing.TB, n int, bucket *coordinator.Bucket) *Cluster {
	tb.Helper()
	c := &Cluster{TB: tb, bucket: bucket}
	for range n {
		c.Add("")
	}
	return c
}

// Newest is the node that was added last, by this goroutine or another.
func (c *Cluster) Newest() *Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Nodes[len(c.Nodes)-1]
}

// Add starts one more node, which joins and takes the place of a lost member,
// if one is named, and waits until it is a voter.
func (c *Cluster) Add(replaces task.NodeID) *Node {
	c.TB.Helper()
	name := task.NodeID(fmt.Sprintf("n%d", len(c.Nodes)+1))
	log := raft.NewInmemStore()
	node := &Node{
		Name: name, URL: "http://" + string(name) + ".test", public: blobs(c.TB), outputs: blobs(c.TB),
		raft: consensus.Stores{Log: c.Net.disk(log), Stable: log, Snapshots: raft.NewInmemSnapshotStore()},
		identity: coordinator.Identity{
			Format: 2, Node: name, Cluster: clusterID, Secret: bytes.Repeat([]byte{7}, 32), Authority: c.authority(),
			URL: "http://" + string(name) + ".test", Raft: string(name), Replaces: replaces,
		},
	}
	node.kept = collected(c.TB, node)
	if len(c.Nodes) == 0 {
		node.identity.Bootstrap = &coordinator.Bootstrap{Operator: c.Operator().Public(), Anyone: true}
	} else {
		c.join(node)
	}
	c.mu.Lock()
	c.Nodes = append(c.Nodes, node)
	c.mu.Unlock()
	c.Start(node)
	c.WaitFor(fmt.Sprintf("%s to be admitted", name), func() bool {
		known := false
		c.Leader().State(func(s *state.State) { _, known = s.Member(name) })
		return known && c.allKnowVoter(name)
	})
	return node
}

// allKnowVoter reports whether every node that runs has learned that another one
// has a vote. Raft turns away a candidate that it does not know as a voter: until
// then the loss of the leader could leave the others unable to choose one, until
// it is back.
func (c *Cluster) allKnowVoter(name task.NodeID) bool {
	for _, n := range c.Nodes {
		if n.Running() == nil {
			continue
		}
		voters, err := n.Running().Voters()
		if _, voter := voters[name]; !voter || err != nil {
			return false
		}
	}
	return true
}

// authority is the key of the cluster's authority, made by the first node.
func (c *Cluster) authority() []byte {
	c.TB.Helper()
	if len(c.Nodes) > 0 {
		return c.Nodes[0].identity.Authority
	}
	key, err := peers.NewKey()
	if err != nil {
		c.TB.Fatal(err)
	}
	der, err := peers.EncodeKey(key)
	if err != nil {
		c.TB.Fatal(err)
	}
	return der
}

// join asks for a node to be let in, with a token, as its first start does.
func (c *Cluster) join(n *Node) {
	c.TB.Helper()
	token, err := c.Leader().Invite(time.Hour)
	if err != nil {
		c.TB.Fatal(err)
	}
	q := map[string]string{
		"node": string(n.Name), "url": n.URL, "raft": n.identity.Raft, "key": n.key().String(), "token": token, "replaces": string(n.identity.Replaces),
	}
	c.WaitFor(fmt.Sprintf("%s to be let in", n.Name), func() bool {
		status, text := c.AskToJoin(q)
		if status != http.StatusOK && status != http.StatusServiceUnavailable {
			c.TB.Fatalf("%s is not let in: %d %s", n.Name, status, text)
		}
		return status == http.StatusOK
	})
}

// AskToJoin asks the leader to let a node in, and returns what it answers.
func (c *Cluster) AskToJoin(q map[string]string) (status int, text string) {
	c.TB.Helper()
	body, err := json.Marshal(q)
	if err != nil {
		c.TB.Fatal(err)
	}
	lead := c.LeaderNode()
	res, err := c.PeerClient(nil).Post(peers.URL(lead.Name, "/internal/v1/join"), "application/json", bytes.NewReader(body))
	if err != nil { // it is down, or the network lost it
		return http.StatusServiceUnavailable, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return http.StatusServiceUnavailable, err.Error()
	}
	return res.StatusCode, string(b)
}

// key is the fingerprint of a node's key, which no handshake asks for here.
func (n *Node) key() task.Digest { return task.Sum([]byte(n.Name)) }

func blobs(tb testing.TB) *faulty.Store {
	s, err := memory.New(memory.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return faulty.New(s)
}

// collected stands before a node's stores. The clock that says when something
// was put into them lives as long as they do.
func collected(tb testing.TB, n *Node) *coordinator.Collected {
	clock, err := collect.OpenClock("")
	if err != nil {
		tb.Fatal(err)
	}
	return &coordinator.Collected{Public: collect.NewStore(n.public, clock), Outputs: collect.NewStore(n.outputs, clock), Clock: clock}
}

func logger() *slog.Logger {
	if os.Getenv("SHEAF_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

// Operator is the cluster's operator.
func (c *Cluster) Operator() *Party { return c.NewParty(4000) }

// Start runs a node on its stores.
func (c *Cluster) Start(n *Node) {
	c.TB.Helper()
	_, n.transport = raft.NewInmemTransport(raft.ServerAddress(n.Name))
	n.raft.Transport = n.transport
	if c.Net != nil {
		n.raft.Transport = &lossy{InmemTransport: n.transport, net: c.Net, name: string(n.Name)}
	}
	for _, other := range c.Nodes {
		if other != n && other.Running() != nil {
			other.transport.Connect(raft.ServerAddress(n.Name), n.transport)
			n.transport.Connect(raft.ServerAddress(other.Name), other.transport)
		}
	}
	parts := coordinator.Parts{
		Identity: n.identity, Raft: n.raft, Public: n.kept.Public, Outputs: n.kept.Outputs, Collect: n.kept, Key: n.key(), Peers: reach{c, n},
		Find: c.finder(n), Local: true, CopyRate: c.CopyRate, Timing: consensus.TimingLAN(), Trailing: c.Net.trailing(), Now: func() int64 { return c.now(n) }, Wall: time.Now, Logger: logger().With("node", n.Name),
	}
	if b := c.bucket; b != nil {
		parts.Public, parts.Outputs, parts.Collect, parts.Bucket = b.Public, b.Outputs, nil, b
		parts.Shared = func(areas.Area, int64) bool { return true }
	}
	a, err := coordinator.Assemble(parts)
	if err != nil {
		c.TB.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	n.ended = make(chan error, 1)
	go func() {
		err := a.Run(ctx)
		if ctx.Err() == nil {
			n.ended <- err
		}
		done <- err
	}()
	c.mu.Lock()
	n.up.Store(a)
	c.mu.Unlock()
	n.stop = func() error { cancel(); return <-done }
}

// finder says where a node finds the cluster when it starts, as a member's URL
// would.
func (c *Cluster) finder(n *Node) func(context.Context) (task.NodeID, string, error) {
	return func(context.Context) (task.NodeID, string, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, other := range c.Nodes {
			if other != n && other.Running() != nil {
				return other.Name, other.identity.Raft, nil
			}
		}
		return "", "", errors.New("no other node is up")
	}
}

// JumpClock sets a node's clock forwards, or backwards.
func (n *Node) JumpClock(by time.Duration) { n.ahead.Add(by.Milliseconds()) }

// TakePlaceOf lets a node that is down ask, when it is started again, for the
// place of a lost member.
func (n *Node) TakePlaceOf(lost task.NodeID) { n.identity.Replaces = lost }

// Kill ends a node without a word to the others.
func (c *Cluster) Kill(n *Node) {
	c.TB.Helper()
	for _, other := range c.Nodes {
		if other != n && other.Running() != nil {
			other.transport.Disconnect(raft.ServerAddress(n.Name))
		}
	}
	n.transport.DisconnectAll()
	c.mu.Lock()
	n.up.Store(nil)
	c.mu.Unlock()
	err := n.stop()
	select {
	case <-n.ended: // it had ended before
	default:
		if err != nil {
			c.TB.Fatal(err)
		}
	}
}

// Bury takes away a node that has ended by itself, and returns its last words.
func (c *Cluster) Bury(n *Node) error {
	c.TB.Helper()
	var err error
	select {
	case err = <-n.ended:
	case <-time.After(time.Minute):
		c.TB.Fatalf("%s still runs", n.Name)
	}
	n.ended <- err
	c.Kill(n)
	return err
}

// Stop ends all nodes.
func (c *Cluster) Stop() {
	for _, n := range c.Nodes {
		if n.Running() != nil {
			c.Kill(n)
		}
	}
	c.onTheirWay.Wait()
	if c.Net != nil {
		time.Sleep(time.Minute) // of the bubble's: a question that nobody waits for is still on its way
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
			if n.Running() != nil && n.Running().Status().Serving {
				lead = n
				return true
			}
		}
		return false
	})
	return lead
}

// Leader is the assembly of the node that leads.
func (c *Cluster) Leader() *coordinator.Assembly { return c.LeaderNode().Running() }

// Running is a node's assembly, or nil while it is down.
func (n *Node) Running() *coordinator.Assembly { return n.up.Load() }

// Stores are the node's own blobs, which a test may let fail.
func (n *Node) Stores() (public, outputs *faulty.Store) { return n.public, n.outputs }

// Check waits until all running nodes have applied the same entries, compares
// their digests (R3), and checks every invariant on each.
func (c *Cluster) Check() {
	c.TB.Helper()
	c.WaitFor("all nodes to apply the same", func() bool {
		at := map[uint64]task.Digest{}
		digests, applied := map[task.Digest]bool{}, map[uint64]bool{}
		for _, n := range c.Nodes {
			if n.Running() == nil {
				continue
			}
			index, digest := n.Running().Digest()
			if other, ok := at[index]; ok && other != digest {
				c.TB.Fatalf("R3: at entry %d node %s has state %s, another %s", index, n.Name, digest.Short(), other.Short())
			}
			// A node that restored a snapshot counts entries without a command,
			// the others do not: their digests may have several indexes.
			at[index], digests[digest], applied[n.Running().Status().Applied] = digest, true, true
		}
		return len(digests) == 1 && len(applied) == 1
	})
	for _, n := range c.Nodes {
		if n.Running() != nil {
			n.Running().State(func(s *state.State) {
				if err := s.Check(); err != nil {
					c.TB.Errorf("node %s: %v", n.Name, err)
				}
			})
		}
	}
}

// CollectBlobs makes all running nodes delete the blobs that nobody refers to.
func (c *Cluster) CollectBlobs() {
	c.TB.Helper()
	for _, n := range c.Nodes {
		if n.Running() == nil {
			continue
		}
		if err := n.Running().CollectBlobs(context.Background()); err != nil {
			c.TB.Errorf("node %s: %v", n.Name, err)
		}
	}
}

// Copies is on how many nodes' own disks a public blob or an output is.
func (c *Cluster) Copies(digest task.Digest) (public, outputs int) {
	c.TB.Helper()
	for _, n := range c.Nodes {
		for store, count := range map[*collect.Store]*int{n.kept.Public: &public, n.kept.Outputs: &outputs} {
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
	b, err := storage.ReadAll(ctx, n.kept.Outputs, digest, storage.MaxBlobSize)
	if err == nil {
		err = n.kept.Outputs.Delete(ctx, digest)
	}
	if err != nil {
		panic(err)
	}
	return b
}

// PutBack puts an output onto a node's disk.
func (n *Node) PutBack(b []byte) {
	if err := n.kept.Outputs.Put(context.Background(), task.Sum(b), int64(len(b)), bytes.NewReader(b)); err != nil {
		panic(err)
	}
}
