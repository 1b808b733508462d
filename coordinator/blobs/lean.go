package blobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/storage"
)

// hedgeAfter is how long a peer may take to store small blobs before another
// one is asked as well.
const hedgeAfter = 200 * time.Millisecond

// isGrouped reports whether all blobs belong to a group: they live until the
// group is packed, which is soon, and then the pack is everywhere.
func isGrouped(blobs []storage.Small) bool {
	return !slices.ContainsFunc(blobs, func(b storage.Small) bool { return b.Group == 0 })
}

// spreadLean puts small blobs on so many peers that they, and this node if it
// has them, are a majority, and on no more: what one more copy of each would
// cost every node is better spent on the next. Blobs of one group go to the same
// peers, so that a peer has much of a group, or nothing. Where one fails, or
// takes long, the next is asked.
func (s *Store) spreadLean(ctx context.Context, area Area, have bool, parcel *Parcel) error {
	what := fmt.Sprintf("%d blobs", parcel.count)
	peers, err := s.peers()
	if err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrNoMajority, err)
	}
	inTurn := peers.inTurn(parcel.group)
	m := newMajority(&peers)
	m.noteSelf(&peers, have)
	answers := make(chan answerOf, len(inTurn))
	joining := make(chan answerOf, len(peers.Joining)) // nobody waits for them
	for _, p := range peers.Joining {
		s.pushBatch(ctx, p, area, parcel, joining)
	}
	hedge := time.NewTicker(hedgeAfter)
	defer hedge.Stop()
	need := m.missing()
	var failed []error
	for asked, late := 0, 0; !m.reached(); {
		if m.lost() {
			return fmt.Errorf("%s: %w: %w", what, ErrNoMajority, errors.Join(failed...))
		}
		for ; asked < min(len(inTurn), need+len(failed)+late); asked++ {
			s.pushBatch(ctx, inTurn[asked], area, parcel, answers)
		}
		select {
		case a := <-answers:
			m.note(peers.Leaving[a.from.Name()], a.err)
			if a.err != nil {
				failed = append(failed, fmt.Errorf("node %s: %w", a.from.Name(), a.err))
			}
		case <-hedge.C:
			late++
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, ErrNoMajority, ctx.Err())
		}
	}
	return nil
}

// inTurn are the voters in the order in which they are asked to store a group;
// those that leave come last.
func (p *Peers) inTurn(group uint64) []Peer {
	if len(p.Voters) == 0 {
		return nil
	}
	sorted := slices.SortedFunc(slices.Values(p.Voters), func(a, b Peer) int { return strings.Compare(string(a.Name()), string(b.Name())) })
	first := int(group % uint64(len(sorted)))
	turned := append(sorted[first:len(sorted):len(sorted)], sorted[:first]...)
	slices.SortStableFunc(turned, func(a, b Peer) int {
		switch x, y := p.Leaving[a.Name()], p.Leaving[b.Name()]; {
		case x == y:
			return 0
		case x:
			return 1
		}
		return -1
	})
	return turned
}

// pushBatch sends a parcel to a peer in the background.
func (s *Store) pushBatch(ctx context.Context, p Peer, area Area, parcel *Parcel, answers chan<- answerOf) {
	parcel.use()
	s.pushes.Go(func() {
		// One that is slow, and not waited for, may still store them.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pushTimeout)
		defer cancel()
		err := p.PutBatch(ctx, area, parcel)
		parcel.done(err)
		answers <- answerOf{p, err}
	})
}
