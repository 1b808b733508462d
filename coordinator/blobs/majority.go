package blobs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// share counts how many of some voters have a blob, or lack it.
type share struct{ voters, have, failed int }

func (s share) majority() bool { return s.have > s.voters/2 }

// lost reports whether the majority cannot come about any more.
func (s share) lost() bool { return s.voters-s.failed <= s.voters/2 }

// majority counts who has a blob. A majority of the voters must, and, while one
// of them is about to be removed, a majority of those that stay: a blob that is
// taken during a removal is then not among those that it leaves behind.
type majority struct{ all, staying share }

func newMajority(p *Peers) *majority {
	m := &majority{}
	if p.Voter {
		m.count(p.Leaves, func(s *share) { s.voters++ })
	}
	for _, v := range p.Voters {
		m.count(p.Leaving[v.Name()], func(s *share) { s.voters++ })
	}
	return m
}

func (m *majority) count(leaves bool, with func(*share)) {
	with(&m.all)
	if !leaves {
		with(&m.staying)
	}
}

// noteSelf counts this node, which has the blob or will not.
func (m *majority) noteSelf(p *Peers, have bool) {
	if !p.Voter {
		return
	}
	m.count(p.Leaves, func(s *share) {
		if have {
			s.have++
		} else {
			s.failed++
		}
	})
}

// note counts a voter that has answered.
func (m *majority) note(leaves bool, err error) {
	m.count(leaves, func(s *share) {
		if err == nil {
			s.have++
		} else {
			s.failed++
		}
	})
}

// missing is how many further voters must have the blob, those that stay first.
func (m *majority) missing() int { return max(m.all.missing(), m.staying.missing()) }

func (s share) missing() int { return max(0, s.voters/2+1-s.have) }

func (m *majority) reached() bool { return m.all.majority() && m.staying.majority() }
func (m *majority) lost() bool    { return m.all.lost() || m.staying.lost() }

// How often a blob is sent again after the members changed under it, and how
// long this node may take to hear of the change.
const (
	changeTries = 40
	changeWait  = 50 * time.Millisecond
)

// spread pushes to all peers and returns once they, and this node if it has it,
// are a majority. Where the members change meanwhile, it begins again. No push takes
// longer than limit; each uses the memory that it is about, if that is lent.
func (s *Store) spread(ctx context.Context, what string, have bool, limit time.Duration, about *lent, push func(context.Context, Peer) error) error {
	return asMembersChange(ctx, func() error { return s.spreadOnce(ctx, what, have, limit, about, push) })
}

// asMembersChange does something again while the members change under it.
func asMembersChange(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if !errors.Is(err, ErrMembersChanged) || try == changeTries {
			return err
		}
		select {
		case <-time.After(changeWait):
		case <-ctx.Done():
			return err
		}
	}
}

func (s *Store) spreadOnce(ctx context.Context, what string, have bool, limit time.Duration, about *lent, push func(context.Context, Peer) error) error {
	peers, err := s.peers()
	if err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrNoMajority, err)
	}
	answers := s.pushAll(ctx, &peers, limit, about, push)
	m := newMajority(&peers)
	m.noteSelf(&peers, have)
	var failed []error
	for !m.reached() {
		if m.lost() {
			return fmt.Errorf("%s: %w: %w", what, ErrNoMajority, errors.Join(failed...))
		}
		select {
		case a := <-answers:
			m.note(peers.Leaving[a.from.Name()], a.err)
			if a.err != nil {
				failed = append(failed, fmt.Errorf("node %s: %w", a.from.Name(), a.err))
			}
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, ErrNoMajority, ctx.Err())
		}
	}
	return nil
}

// answerOf is what became of a blob on its way to one peer.
type answerOf struct {
	from Peer
	err  error
}

// pushAll sends to all peers at the same time. A slow peer is not left without
// the blob because a fast one made the majority. One that joins gets it, too,
// and is not waited for: what fails there it copies later.
func (s *Store) pushAll(ctx context.Context, peers *Peers, limit time.Duration, about *lent, push func(context.Context, Peer) error) <-chan answerOf {
	answers := make(chan answerOf, len(peers.Voters))
	send := func(p Peer) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
		err := push(ctx, p)
		about.done(err)
		return err
	}
	for _, p := range peers.Voters {
		about.use()
		s.pushes.Go(func() { answers <- answerOf{p, send(p)} })
	}
	for _, p := range peers.Joining {
		about.use()
		s.pushes.Go(func() {
			if err := send(p); err != nil {
				s.log.Debug("a member that joins did not take a blob; it copies it later", "node", p.Name(), "error", err)
			}
		})
	}
	return answers
}
