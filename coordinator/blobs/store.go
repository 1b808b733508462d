package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Area is which of a node's stores a blob is in.
type Area string

// The areas.
const (
	Public  Area = "blobs"
	Outputs Area = "outputs"
)

// ErrNoMajority is returned when too few nodes took a blob. It may be on some;
// putting it again finishes the job.
var ErrNoMajority = errors.New("too few coordinators could store the blob")

// ErrUnsure is returned for a blob that is not here where too few peers answer
// to know whether it is anywhere: a blob that was acknowledged is on a majority,
// which those that were asked may have missed. Asking again later settles it.
var ErrUnsure = errors.New("too few coordinators answer to tell whether the blob exists")

// ErrMembersChanged is a peer's answer to a blob that was sent as of members
// that have changed since. Nothing was stored.
var ErrMembersChanged = errors.New("the cluster's members have changed since")

// Peers are the other coordinators as of one change of the members, and what
// this node is among them.
type Peers struct {
	Voters  []Peer
	Joining []Peer // are sent what is stored, and count for nothing yet
	Leaving map[task.NodeID]bool
	Voter   bool // this node has a vote
	Leaves  bool // this node is to be removed
}

// Peer is another coordinator's store.
type Peer interface {
	Name() task.NodeID
	Put(ctx context.Context, area Area, digest task.Digest, size int64, r io.Reader) error
	PutBatch(ctx context.Context, area Area, parcel *Parcel) error
	// Keep asks for blobs to be kept for a while, and returns those that the
	// peer does not have.
	Keep(ctx context.Context, area Area, digests []task.Digest) (missing []task.Digest, err error)
	// Get returns the size of a blob and its bytes, or storage.ErrNotFound.
	Get(ctx context.Context, area Area, digest task.Digest) (int64, io.ReadCloser, error)
	// GetBatch returns those of some small blobs that the peer has, verified.
	GetBatch(ctx context.Context, area Area, digests []task.Digest) ([]storage.Small, error)
	// List calls fn for every blob of the peer, in the order of digests and then
	// of groups. It returns nil only after the last one.
	List(ctx context.Context, area Area, fn func(Listed) error) error
}

// Store is one node's view of the cluster's blobs.
type Store struct {
	local  map[Area]storage.Blobs
	peers  func() (Peers, error)
	log    *slog.Logger
	clock  Clock // nil: nobody asks how late it is
	shared func(area Area, size int64) bool
	pushes background
	groups map[Area]*groups

	inMemory atomic.Int64 // bytes of blobs that are on their way to peers
}

// New joins a node's own stores with its peers'. peers returns the other
// members at each call.
func New(public, outputs storage.Blobs, peers func() (Peers, error), log *slog.Logger, options ...Option) *Store {
	s := &Store{local: map[Area]storage.Blobs{Public: public, Outputs: outputs}, peers: peers, log: log, shared: func(Area, int64) bool { return false }, groups: map[Area]*groups{}}
	for _, o := range options {
		o(s)
	}
	for area := range s.local {
		s.groups[area] = &groups{put: func(ctx context.Context, blobs []storage.Small) error { return s.putGroup(ctx, area, blobs) }}
	}
	return s
}

// Close waits for what is still on its way to slow peers.
func (s *Store) Close() { s.pushes.Wait() }

// Local is this node's own store of an area.
func (s *Store) Local(area Area) storage.Blobs { return s.local[area] }

// Open returns a blob for reading, fetched from a peer if this node lacks it, or
// finds while it is read that its own is damaged. ctx must live as long as it is
// read.
func (s *Store) Open(ctx context.Context, area Area, digest task.Digest) (storage.Blob, error) {
	local := s.local[area]
	fetch := func(why error) (storage.Blob, error) {
		if !errors.Is(why, storage.ErrNotFound) {
			s.log.Warn("a stored blob is damaged; it is fetched from a peer", "blob", digest.Short(), "area", area, "why", why)
		}
		if err := s.repair(ctx, area, digest, why); err != nil {
			return nil, err
		}
		return local.Open(ctx, digest)
	}
	b, err := local.Open(ctx, digest)
	if err == nil {
		return &mending{blob: b, fetch: fetch}, nil
	}
	if !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, storage.ErrCorrupt) {
		return b, err
	}
	return fetch(err)
}

// repair fetches a blob from the first peer that has it whole. It says
// storage.ErrNotFound only when a majority says so, or a store that all share.
func (s *Store) repair(ctx context.Context, area Area, digest task.Digest, why error) error {
	if s.shared(area, 0) {
		return why // peers would look in the same place
	}
	peers, err := s.peers()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsure, err)
	}
	missing := newShare(&peers)
	for _, p := range peers.Voters {
		size, r, err := p.Get(ctx, area, digest)
		if err != nil {
			if errors.Is(err, storage.ErrNotFound) {
				missing.have++
			} else {
				why = errors.Join(why, fmt.Errorf("node %s: %w", p.Name(), err))
			}
			continue
		}
		err = s.local[area].Put(ctx, digest, size, r)
		_ = r.Close() // its bytes were verified or refused
		if err == nil {
			s.log.Info("fetched a blob from a peer", "blob", digest.Short(), "area", area, "peer", p.Name(), "bytes", size)
			return nil
		}
		if errors.Is(err, storage.ErrNoSpace) {
			return err // it is there, and has no room here
		}
		why = errors.Join(why, fmt.Errorf("node %s: %w", p.Name(), err))
	}
	if !missing.majority() {
		return fmt.Errorf("%w: %v", ErrUnsure, why) // not %w: it must not pass for an answer
	}
	return why
}

// fetch reads a blob from the first peer that has it, without keeping it. It
// says storage.ErrNotFound only when a majority says so.
func (s *Store) fetch(ctx context.Context, area Area, digest task.Digest, limit int64) ([]byte, error) {
	peers, err := s.peers()
	if err != nil {
		return nil, err
	}
	missing := newShare(&peers)
	var why error
	for _, p := range peers.Voters {
		size, r, err := p.Get(ctx, area, digest)
		if errors.Is(err, storage.ErrNotFound) {
			missing.have++
			continue
		}
		if err != nil {
			why = errors.Join(why, fmt.Errorf("node %s: %w", p.Name(), err))
			continue
		}
		var b []byte
		if err = storage.CheckSize(digest, size, limit); err == nil {
			b, err = io.ReadAll(io.LimitReader(r, limit))
		}
		_ = r.Close() // its bytes are verified
		if err == nil && task.Sum(b) == digest {
			return b, nil
		}
		why = errors.Join(why, fmt.Errorf("node %s: %w", p.Name(), err))
	}
	if !missing.majority() {
		return nil, fmt.Errorf("blob %s: %w: %v", digest, ErrUnsure, why) // not %w: it must not pass for an answer
	}
	return nil, fmt.Errorf("blob %s: %w", digest, storage.ErrNotFound)
}

// newShare begins to count who lacks a blob that this node has no whole copy of.
func newShare(p *Peers) share {
	lack := share{voters: len(p.Voters)}
	if p.Voter {
		lack.voters, lack.have = lack.voters+1, 1 // here
	}
	return lack
}

// ReadAll returns a whole blob of at most limit bytes. A copy that turns out
// to be damaged is fetched again from a peer.
func (s *Store) ReadAll(ctx context.Context, area Area, digest task.Digest, limit int64) ([]byte, error) {
	b, err := storage.ReadAll(ctx, s.local[area], digest, limit)
	if !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, storage.ErrCorrupt) {
		return b, err
	}
	switch err := s.repair(ctx, area, digest, err); {
	case errors.Is(err, storage.ErrNoSpace):
		return s.fetch(ctx, area, digest, limit)
	case err != nil:
		return nil, err
	}
	return storage.ReadAll(ctx, s.local[area], digest, limit)
}

// Have reports whether the blob can be read here, fetching it if need be.
func (s *Store) Have(ctx context.Context, area Area, digest task.Digest) (bool, error) {
	ok, err := s.local[area].Has(ctx, digest)
	if ok || err != nil {
		return ok, err
	}
	err = s.repair(ctx, area, digest, storage.ErrNotFound)
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Publish makes an output readable for everybody: it is copied into the public
// area, on a majority.
func (s *Store) Publish(ctx context.Context, digest task.Digest) error {
	b, err := s.Open(ctx, Outputs, digest)
	if err != nil {
		return fmt.Errorf("output %s: %w", digest.Short(), err)
	}
	defer b.Close()
	return s.Put(ctx, Public, digest, b.Size(), io.NewSectionReader(b, 0, b.Size()))
}
