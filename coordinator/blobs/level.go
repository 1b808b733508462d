package blobs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/sheafgrid/sheaf/internal/pace"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Change is the members as they would be, and who may have blobs.
type Change struct {
	Self   task.NodeID
	Voters map[task.NodeID]bool // who would have a vote
	Peers  []Peer               // everybody else who may hold a blob, voters to be or not
	Rate   int64                // bytes a second that may be copied; 0: as fast as it goes

	// Unneeded reports whether what is kept for a group is needed no more: its
	// copies go away one after the other.
	Unneeded func(group uint64) bool
}

// Levelled says what Level found.
type Levelled struct {
	Blobs  int64 // that anybody has
	Copied int64 // that were on too few members, and are on enough now
	Short  int64 // that are on too few members still
	Lost   int64 // of which every copy is damaged, so that nothing can be done
	Why    error // what kept the short ones from being copied
}

// Level compares the lists of all nodes and copies each blob that is not on a
// majority of the voters to be onto as many of them as it takes. It changes
// nothing else: who makes the change must see that Short is 0. What is stored
// meanwhile it may miss; the Leaving mark of Peers takes care of that. What goes
// meanwhile counts for nothing.
//
// Peers that do not answer count as having nothing. Its error is this node's own.
func (s *Store) Level(ctx context.Context, c Change) (Levelled, error) {
	ctx, err := s.stamped(ctx)
	if err != nil {
		return Levelled{}, err
	}
	l := &levelling{store: s, change: c, pace: pace.New(c.Rate)}
	for _, area := range []Area{Public, Outputs} {
		if s.shared(area, 0) {
			continue // its store keeps it safe
		}
		if err := l.area(ctx, area); err != nil {
			return l.found, err
		}
	}
	l.found.Why = errors.Join(l.failed...)
	return l.found, nil
}

// levelling is one run of Level.
type levelling struct {
	store   *Store
	change  Change
	pace    *pace.Pacer
	found   Levelled
	failed  []error
	told    map[string]bool // of failures, so that one node's are told once
	pending []shortBlob
	bytes   int64
}

// holder is one node's list on its way, and what can be done with the node.
type holder struct {
	name  task.NodeID
	peer  Peer // nil: this node
	voter bool
	next  func() (Listed, bool)
	stop  func()
	err   error

	head Listed // the next entry
	ok   bool   // there is one
}

// shortBlob is on too few members.
type shortBlob struct {
	Listed
	holders []*holder
	targets []*holder // that lack it, and answer
	need    int       // of the targets
}

// area levels one of the two stores.
func (l *levelling) area(ctx context.Context, area Area) error {
	holders := l.open(ctx, area)
	defer func() {
		for _, h := range holders {
			h.stop()
		}
	}()
	voters := len(l.change.Voters)
	for {
		b, ok := nextBlob(holders, voters)
		if !ok {
			break
		}
		if l.store.shared(area, b.Size) || b.Group != 0 && l.change.Unneeded(b.Group) {
			continue
		}
		l.found.Blobs++
		if err := l.lookAgain(ctx, area, &b); err != nil {
			return err
		}
		if b.need == 0 {
			continue
		}
		l.pending = append(l.pending, b)
		if l.bytes += b.Size; len(l.pending) >= copyBlobs || l.bytes >= copyBytes {
			if err := l.flush(ctx, area); err != nil {
				return err
			}
		}
	}
	err := l.flush(ctx, area)
	for _, h := range holders {
		if h.err != nil && h.peer == nil && !errors.Is(h.err, storage.ErrNoSpace) {
			return h.err
		}
		if h.err != nil {
			l.remember(fmt.Errorf("node %s: %w", h.name, h.err))
		}
	}
	return err
}

// open begins the lists of this node and all others.
func (l *levelling) open(ctx context.Context, area Area) []*holder {
	own := &holder{name: l.change.Self, voter: l.change.Voters[l.change.Self]}
	own.begin(func(fn func(Listed) error) error { return listLocal(ctx, l.store.local[area], fn) })
	holders := []*holder{own}
	for _, p := range l.change.Peers {
		h := &holder{name: p.Name(), peer: p, voter: l.change.Voters[p.Name()]}
		h.begin(func(fn func(Listed) error) error { return p.List(ctx, area, fn) })
		holders = append(holders, h)
	}
	return holders
}

// errStopped ends a list that nobody wants the rest of.
var errStopped = errors.New("the list was stopped")

func (h *holder) begin(list func(func(Listed) error) error) {
	h.next, h.stop = iter.Pull(func(yield func(Listed) bool) {
		err := list(func(l Listed) error {
			if !yield(l) {
				return errStopped
			}
			return nil
		})
		if !errors.Is(err, errStopped) {
			h.err = err
		}
	})
	h.step()
}

// step goes on to the next blob that is whole.
func (h *holder) step() {
	for {
		if h.head, h.ok = h.next(); !h.ok || h.head.Size >= 0 {
			return
		}
	}
}

// nextBlob takes the first blob off all lists.
func nextBlob(holders []*holder, voters int) (b shortBlob, ok bool) {
	for _, h := range holders {
		if h.ok && (!ok || h.head.compare(b.Listed) < 0) {
			b.Listed, ok = h.head, true
		}
	}
	if !ok {
		return b, false
	}
	have := 0
	for _, h := range holders {
		switch {
		case h.ok && h.head.compare(b.Listed) == 0:
			b.holders = append(b.holders, h)
			if h.voter {
				have++
			}
			h.step()
		case h.voter && h.err == nil:
			b.targets = append(b.targets, h)
		}
	}
	b.need = max(0, voters/2+1-have)
	return b, true
}

// lookAgain asks this node's store for a blob that only others have listed: lists are
// not of one moment, this node's is the first of them, and under load thousands of
// blobs come between it and the last one.
func (l *levelling) lookAgain(ctx context.Context, area Area, b *shortBlob) error {
	own := slices.IndexFunc(b.targets, func(h *holder) bool { return h.peer == nil })
	if b.need == 0 || own < 0 {
		return nil
	}
	has, err := hasLocal(ctx, l.store.local[area], b.Listed)
	if err != nil || !has {
		return err
	}
	b.holders = append(b.holders, b.targets[own])
	b.targets = slices.Delete(b.targets, own, own+1)
	b.need--
	return nil
}

// remember keeps what went wrong, each kind once, and not without end.
func (l *levelling) remember(err error) {
	if l.told == nil {
		l.told = map[string]bool{}
	}
	kind, _, _ := strings.Cut(err.Error(), "\n")
	if !l.told[kind] && len(l.failed) < 8 {
		l.told[kind] = true
		l.failed = append(l.failed, err)
	}
}
