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

// spreadLean puts small blobs on so many peers that they, and the have nodes
// that have them already, are a majority, and on no more: what one more copy of
// each would cost every node is better spent on the next. Blobs of one group go
// to the same peers, so that a peer has much of a group, or nothing. Where one
// fails, or takes long, the next is asked.
func (s *Store) spreadLean(ctx context.Context, area Area, have int, blobs []storage.Small) error {
	what := fmt.Sprintf("%d blobs", len(blobs))
	peers, err := s.inTurn(blobs[0].Group)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrNoMajority, err)
	}
	answers := make(chan error, len(peers))
	need := (len(peers)+1)/2 + 1 - have
	hedge := time.NewTicker(hedgeAfter)
	defer hedge.Stop()
	var failed []error
	for asked, stored, late := 0, 0, 0; stored < need; {
		if len(peers)-len(failed) < need {
			return fmt.Errorf("%s: %w: %w", what, ErrNoMajority, errors.Join(failed...))
		}
		for ; asked < min(len(peers), need+len(failed)+late); asked++ {
			s.pushBatch(ctx, peers[asked], area, blobs, answers)
		}
		select {
		case err := <-answers:
			if err == nil {
				stored++
			} else {
				failed = append(failed, err)
			}
		case <-hedge.C:
			late++
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, ErrNoMajority, ctx.Err())
		}
	}
	return nil
}

// inTurn are the peers in the order in which they are asked to store a group.
func (s *Store) inTurn(group uint64) ([]Peer, error) {
	peers, err := s.peers()
	if err != nil || len(peers) == 0 {
		return nil, err
	}
	slices.SortFunc(peers, func(a, b Peer) int { return strings.Compare(string(a.Name()), string(b.Name())) })
	first := int(group % uint64(len(peers)))
	return append(peers[first:len(peers):len(peers)], peers[:first]...), nil
}

// pushBatch sends blobs to a peer in the background.
func (s *Store) pushBatch(ctx context.Context, p Peer, area Area, blobs []storage.Small, answers chan<- error) {
	s.pushes.Go(func() {
		// One that is slow, and not waited for, may still store them.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pushTimeout)
		defer cancel()
		err := p.PutBatch(ctx, area, blobs)
		if err != nil {
			err = fmt.Errorf("node %s: %w", p.Name(), err)
		}
		answers <- err
	})
}
