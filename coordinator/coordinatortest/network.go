package coordinatortest

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Network is what lies between the nodes of a cluster, and between them and
// their callers: each message takes a time of its own, and none arrives over a
// link that is cut. Callers outside reach every node that is up. The times are
// drawn from the seed; which goroutine draws first is not.
type Network struct {
	mu   sync.Mutex
	rnd  *rand.Rand
	cuts map[[2]string]bool // from, to
	held string             // beginning of the paths that nodes do not answer to each other
}

// NewNetwork makes a network without cuts.
func NewNetwork(seed uint64) *Network {
	return &Network{rnd: rand.New(rand.NewPCG(seed, 1)), cuts: map[[2]string]bool{}}
}

// Cut stops messages from one node to another. Answers go the other way.
func (n *Network) Cut(from, to *Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[[2]string{string(from.Name), string(to.Name)}] = true
}

// Split cuts all links between two groups of nodes, both ways.
func (n *Network) Split(a, b []*Node) {
	for _, x := range a {
		for _, y := range b {
			n.Cut(x, y)
			n.Cut(y, x)
		}
	}
}

// Heal mends all links.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cuts)
}

// Hold lets no node answer another's HTTP requests whose path begins so; ""
// ends it.
func (n *Network) Hold(prefix string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = prefix
}

// holds reports whether a node's request is not answered.
func (n *Network) holds(from, path string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return from != "" && n.held != "" && strings.HasPrefix(path, n.held)
}

// Times of messages and of writes.
const (
	latency   = 4 * time.Millisecond   // at most, mostly
	lateness  = 60 * time.Millisecond  // at most, now and then
	lostAfter = 200 * time.Millisecond // until a sender gives up on an answer
	diskTime  = 3 * time.Millisecond   // at most, for one write of the log
)

var errLost = errors.New("no answer came over the network")

// delay draws the time of one message.
func (n *Network) delay() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.rnd.IntN(50) == 0 {
		return time.Duration(n.rnd.Int64N(int64(lateness)))
	}
	return time.Duration(n.rnd.Int64N(int64(latency)))
}

func (n *Network) up(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cuts[[2]string{from, to}]
}

// carry brings a message there and its answer back. do runs although the
// answer gets lost.
func (n *Network) carry(from, to string, do func() error) error {
	time.Sleep(n.delay())
	if !n.up(from, to) {
		time.Sleep(lostAfter)
		return errLost
	}
	if err := do(); err != nil {
		return err
	}
	time.Sleep(n.delay())
	if !n.up(to, from) {
		time.Sleep(lostAfter)
		return errLost
	}
	return nil
}

// trailing is how many entries stay behind a snapshot: on a network, so few
// that whoever was away is sent the snapshot.
func (n *Network) trailing() uint64 {
	if n == nil {
		return 0
	}
	return 4
}

// disk is a log that takes its time.
func (n *Network) disk(log raft.LogStore) raft.LogStore {
	if n == nil {
		return log
	}
	return slowLog{log, n}
}

type slowLog struct {
	raft.LogStore
	net *Network
}

// StoreLogs stores entries after a while.
func (l slowLog) StoreLogs(entries []*raft.Log) error {
	l.net.mu.Lock()
	d := time.Duration(l.net.rnd.Int64N(int64(diskTime)))
	l.net.mu.Unlock()
	time.Sleep(d)
	return l.LogStore.StoreLogs(entries)
}

// lossy is a node's transport on a network. Replication is not pipelined, so
// that each message can be lost by itself.
type lossy struct {
	*raft.InmemTransport
	net  *Network
	name string
}

var _ raft.WithPreVote = (*lossy)(nil)

// AppendEntriesPipeline is not offered.
func (w *lossy) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// AppendEntries carries entries.
func (w *lossy) AppendEntries(id raft.ServerID, to raft.ServerAddress, q *raft.AppendEntriesRequest, r *raft.AppendEntriesResponse) error {
	return w.net.carry(w.name, string(to), func() error { return w.InmemTransport.AppendEntries(id, to, q, r) })
}

// RequestVote carries a wish for a vote.
func (w *lossy) RequestVote(id raft.ServerID, to raft.ServerAddress, q *raft.RequestVoteRequest, r *raft.RequestVoteResponse) error {
	return w.net.carry(w.name, string(to), func() error { return w.InmemTransport.RequestVote(id, to, q, r) })
}

// RequestPreVote carries a question for a vote.
func (w *lossy) RequestPreVote(id raft.ServerID, to raft.ServerAddress, q *raft.RequestPreVoteRequest, r *raft.RequestPreVoteResponse) error {
	return w.net.carry(w.name, string(to), func() error { return w.InmemTransport.RequestPreVote(id, to, q, r) })
}

// InstallSnapshot carries a snapshot.
func (w *lossy) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, q *raft.InstallSnapshotRequest, r *raft.InstallSnapshotResponse, data io.Reader) error {
	return w.net.carry(w.name, string(to), func() error { return w.InmemTransport.InstallSnapshot(id, to, q, r, data) })
}

// TimeoutNow carries the order to begin an election.
func (w *lossy) TimeoutNow(id raft.ServerID, to raft.ServerAddress, q *raft.TimeoutNowRequest, r *raft.TimeoutNowResponse) error {
	return w.net.carry(w.name, string(to), func() error { return w.InmemTransport.TimeoutNow(id, to, q, r) })
}
