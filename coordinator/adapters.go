package coordinator

import (
	"context"
	"errors"
	"io"

	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/coordinator/collect"
	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// node is the consensus node as the packages above the log want it: its errors
// say to a caller over the network what to do.
type node struct{ *consensus.Node }

// Propose puts a command through the log.
func (n node) Propose(ctx context.Context, c state.Command) (state.Result, error) {
	r, err := n.Node.Propose(ctx, c)
	return r, toCaller(err)
}

// unhurried is the node as the leader's own loops use it: nobody waits for what
// they propose.
type unhurried struct{ node }

// Propose puts a command through the log, with those that somebody waits for.
func (u unhurried) Propose(ctx context.Context, c state.Command) (state.Result, error) {
	r, err := u.ProposeSoon(ctx, c)
	return r, toCaller(err)
}

// toCaller says to a caller over the network what to do.
func toCaller(err error) error {
	switch {
	case errors.Is(err, consensus.ErrNotLeader), errors.Is(err, consensus.ErrUnknown):
		err = &protocol.Error{Code: protocol.CodeNoLeader, Text: "the cluster is choosing a leader; send the same request again", RetryMillis: 300}
	case errors.Is(err, consensus.ErrOverloaded):
		err = &protocol.Error{Code: protocol.CodeOverloaded, Text: "more requests than the cluster can take now; send the same request again later", RetryMillis: 2000}
	}
	return err
}

// Status is how the node stands.
func (n node) Status() protocol.NodeView {
	s := n.Node.Status()
	return protocol.NodeView{Node: s.Node, Leader: s.Leader, Serving: s.Serving, Term: s.Term, Last: s.Last, Applied: s.Applied}
}

// area is one of the two kinds of blobs.
type area struct {
	store *blobs.Store
	area  blobs.Area
}

func (a area) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	return a.store.Put(ctx, a.area, digest, size, r)
}

func (a area) PutBatch(ctx context.Context, small []storage.Small) error {
	return a.store.PutBatch(ctx, a.area, small)
}

func (a area) Open(ctx context.Context, digest task.Digest) (storage.Blob, error) {
	return a.store.Open(ctx, a.area, digest)
}

func (a area) ReadAll(ctx context.Context, digest task.Digest, limit int64) ([]byte, error) {
	return a.store.ReadAll(ctx, a.area, digest, limit)
}

// Have reports whether a blob is there, and sees to it that it stays until an
// entry can refer to it.
func (a area) Have(ctx context.Context, digest task.Digest) (bool, error) {
	err := a.store.Keep(ctx, a.area, digest)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (a area) Keep(ctx context.Context, digests ...task.Digest) error {
	return a.store.Keep(ctx, a.area, digests...)
}

// collectBlobs is what a node reads to find out which blobs are in use.
type collectBlobs struct{ store *blobs.Store }

func (b collectBlobs) ReadPublic(ctx context.Context, digest task.Digest, limit int64) ([]byte, error) {
	return b.store.ReadAll(ctx, blobs.Public, digest, limit)
}

func (b collectBlobs) ReadOutput(ctx context.Context, digest task.Digest, limit int64) ([]byte, error) {
	return b.store.Look(ctx, blobs.Outputs, digest, limit)
}

func (b collectBlobs) OpenOutput(ctx context.Context, digest task.Digest) (storage.Blob, error) {
	return b.store.Open(ctx, blobs.Outputs, digest)
}

// blobClock is cluster time as this node knows it: from its state, or from
// peers that are ahead of it.
type blobClock struct {
	node  *node
	heard *collect.Clock
}

func (c blobClock) Now() task.Millis           { return max(c.node.Now(), c.heard.Now()) }
func (c blobClock) Hear(now task.Millis) error { return c.heard.Hear(now) }

// sweepBlobs is what the leader's loops need of the blobs.
type sweepBlobs struct{ store *blobs.Store }

func (b sweepBlobs) ReadOutput(ctx context.Context, digest task.Digest, limit int64) ([]byte, error) {
	return b.store.ReadAll(ctx, blobs.Outputs, digest, limit)
}

// EachOutput has nothing to show where the node's store keeps no groups.
func (b sweepBlobs) EachOutput(ctx context.Context, groups []uint64, fn func(task.Digest, []byte) error) error {
	if grouped, ok := b.store.Local(blobs.Outputs).(interface {
		EachOf(ctx context.Context, groups []uint64, fn func(task.Digest, []byte) error) error
	}); ok {
		return grouped.EachOf(ctx, groups, fn)
	}
	return nil
}

func (b sweepBlobs) PutOutput(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	return b.store.Put(ctx, blobs.Outputs, digest, size, r)
}

func (b sweepBlobs) Publish(ctx context.Context, digest task.Digest) error {
	return b.store.Publish(ctx, digest)
}

func (b sweepBlobs) PutPublic(ctx context.Context, small []storage.Small) error {
	return b.store.PutBatch(ctx, blobs.Public, small)
}

func (b sweepBlobs) PutPublicLarge(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	return b.store.Put(ctx, blobs.Public, digest, size, r)
}

// peers are the stores of the other members: a blob must be on a majority of
// the same nodes that the log is.
func (a *assembly) peers() (blobs.Peers, error) {
	servers, err := a.node.Servers()
	if err != nil {
		return blobs.Peers{}, err
	}
	found := blobs.Peers{Leaving: map[task.NodeID]bool{}}
	var changes uint64
	a.node.View(func(s *state.State) {
		changes = s.Cluster().Changes
		for node := range servers {
			if m, ok := s.Member(node); ok {
				found.Leaving[node] = m.Leaving
			}
		}
	})
	for node, server := range servers {
		switch {
		case node == a.parts.Identity.Node:
			found.Voter, found.Leaves = server.Voter, found.Leaving[node]
		case server.Voter:
			found.Voters = append(found.Voters, a.peer(node, changes))
		default:
			found.Joining = append(found.Joining, a.peer(node, changes))
		}
	}
	return found, nil
}

// peer reaches the store of a node. Where the node's address is not known here,
// it counts, and has nothing.
func (a *assembly) peer(node task.NodeID, changes uint64) blobs.Peer {
	return blobs.NewPeer(node, peers.URL(node, ""), changes, a.parts.Peers.Client())
}

// changes is how many changes of the members this node knows of.
func (a *assembly) changes() (n uint64) {
	a.node.View(func(s *state.State) { n = s.Cluster().Changes })
	return n
}
