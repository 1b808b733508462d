package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/planted"
	"github.com/sheafgrid/sheaf/task"
)

// The leader changes the members one at a time, as the state says: a member
// that joins gets its vote, one that leaves loses it, when every blob is on a
// majority of the members that there will be. Each step can be repeated: a new
// leader goes on where the last one was.

// membership is what the leader remembers while it changes the members.
type membership struct {
	mu     sync.Mutex
	copied map[task.NodeID]bool      // members that join, and say that they have copied everything
	waits  map[task.NodeID]string    // what keeps a member from joining, or from leaving
	next   map[task.NodeID]time.Time // before which a change that could not be made is not tried again
	kick   chan struct{}

	// uneven: a member got its vote, and what was stored meanwhile may be on too
	// few of the voters that there are now. Used by the changing goroutine alone.
	uneven bool
}

func newMembership() *membership {
	return &membership{copied: map[task.NodeID]bool{}, waits: map[task.NodeID]string{}, next: map[task.NodeID]time.Time{}, kick: make(chan struct{}, 1)}
}

// ready notes whether a member that joins has copied everything.
func (m *membership) ready(node task.NodeID, copied bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.copied[node] = copied
	if copied {
		m.wake()
	}
}

func (m *membership) wake() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// again makes the leader look at everything at once: somebody wants something.
func (m *membership) again() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.next)
	m.wake()
}

// due reports whether a change may be tried now.
func (m *membership) due(node task.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !time.Now().Before(m.next[node])
}

// later puts a change off that was tried for some time in vain: comparing lists
// costs every member something, and must not be all that they do.
func (m *membership) later(node task.NodeID, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next[node] = time.Now().Add(min(max(10*took, changeEvery), time.Minute))
}

func (m *membership) isReady(node task.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.copied[node]
}

// note says what a member waits for; nil: for nothing. It reports whether that
// is news.
func (m *membership) note(node task.NodeID, why error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := ""
	if why != nil {
		text = why.Error()
	}
	news := m.waits[node] != text
	m.waits[node] = text
	return news
}

func (m *membership) waitsFor(node task.NodeID) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waits[node]
}

// changeEvery is how often the leader looks whether a change can go on.
const changeEvery = time.Second

// changeMembers goes on with changes of the members while this node leads.
func (a *assembly) changeMembers(ctx context.Context) error {
	tick := time.NewTicker(changeEvery)
	defer tick.Stop()
	a.members.uneven = false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-a.members.kick:
		}
		if err := a.changeOnce(ctx); err != nil {
			return err
		}
	}
}

// changeOnce takes each change that is asked for as far as it goes. Its error
// is of this node's own disk.
func (a *assembly) changeOnce(ctx context.Context) error {
	a.finishRemovals(ctx)
	if err := a.evenOut(ctx); err != nil {
		return err
	}
	for _, m := range a.allMembers() {
		if !a.members.due(m.Node) {
			continue
		}
		var err error
		began := time.Now()
		switch {
		case m.Joining && a.members.isReady(m.Node):
			err = a.giveVote(ctx, m)
		case m.Leaving:
			err = a.takeVote(ctx, m, nil)
		default:
			continue
		}
		if own := (*ownDisk)(nil); errors.As(err, &own) {
			return err
		}
		if err != nil {
			a.members.later(m.Node, time.Since(began))
		}
		if ctx.Err() == nil && a.members.note(m.Node, err) && err != nil {
			a.parts.Logger.Warn("a change of the members waits", "node", m.Node, "why", err)
		}
	}
	return nil
}

// finishRemovals takes the votes of members that the state says are removed.
func (a *assembly) finishRemovals(ctx context.Context) {
	servers, err := a.node.Servers()
	if err != nil {
		return
	}
	for node := range servers {
		removed := false
		a.node.View(func(s *state.State) {
			m, ok := s.Member(node)
			removed = ok && m.Removed
		})
		if removed {
			if err := a.node.RemoveServer(ctx, node); err != nil {
				a.parts.Logger.Warn("a removed member keeps its vote for now", "node", node, "error", err)
			}
		}
	}
}

// caughtUp is how many entries a member may be behind when it gets its vote: as
// many as pass while it is asked.
const caughtUp = 1024

// giveVote makes a member that joins a voter, in the place of a lost one if it
// is to have that.
func (a *assembly) giveVote(ctx context.Context, m state.Member) error {
	if lost := a.memberLeft(m.Replaces); lost != nil {
		if !lost.Leaving {
			lost.Leaving = true
			if err := a.setMember(ctx, *lost); err != nil {
				return err
			}
		}
		if err := a.takeVote(ctx, *lost, &m); err != nil {
			return err
		}
	}
	s, err := a.standingOf(ctx, m)
	if err != nil {
		return fmt.Errorf("it does not answer: %w", err)
	}
	if last := a.Status().Applied; s.Applied+caughtUp < last {
		return fmt.Errorf("it has applied entry %d of %d", s.Applied, last)
	}
	voters, err := a.votersAfter("", m.Node)
	if err != nil {
		return err
	}
	if err := a.level(ctx, voters); err != nil {
		return err
	}
	if err := a.node.AddVoter(ctx, m.Node, m.Raft); err != nil {
		return err
	}
	a.members.uneven = true
	m.Joining, m.Replaces = false, ""
	if err := a.setMember(ctx, m); err != nil {
		return err
	}
	a.parts.Logger.Info("a member got its vote", "node", m.Node)
	a.members.ready(m.Node, false)
	return nil
}

// evenOut copies what was stored while a member got its vote: it counted by the
// voters before. Its error is of this node's own disk.
func (a *assembly) evenOut(ctx context.Context) error {
	if !a.members.uneven || !a.members.due("") {
		return nil
	}
	began := time.Now()
	voters, err := a.votersAfter("", "")
	if err != nil {
		return nil // it ends
	}
	err = a.level(ctx, voters)
	if own := (*ownDisk)(nil); errors.As(err, &own) {
		return err
	}
	if a.members.uneven = err != nil; a.members.uneven && ctx.Err() == nil {
		a.members.later("", time.Since(began))
		a.parts.Logger.Debug("what was stored while a member got its vote is copied later", "error", err)
	}
	return nil
}

// takeVote removes a member that leaves, once nothing depends on it. joins is
// the one that takes its place, if there is one.
func (a *assembly) takeVote(ctx context.Context, m state.Member, joins *state.Member) error {
	if m.Node == a.parts.Identity.Node {
		return a.node.Transfer("") // the next leader goes on
	}
	if m.Joining { // it never had one
		return a.dropMember(ctx, m)
	}
	if err := a.checkQuorum(ctx, m.Node, a.changes()); err != nil {
		return err
	}
	var with task.NodeID
	if joins != nil {
		with = joins.Node
	}
	voters, err := a.votersAfter(m.Node, with)
	if err != nil {
		return err
	}
	if !planted.Is(planted.RemoveBeforeCopied) {
		if err := a.level(ctx, voters); err != nil {
			return err
		}
	}
	return a.dropMember(ctx, m)
}

// dropMember notes first that a member is removed, so that it hears of it, and
// then takes its vote.
func (a *assembly) dropMember(ctx context.Context, m state.Member) error {
	m.Removed, m.Leaving, m.Joining, m.Replaces = true, false, false, ""
	if err := a.setMember(ctx, m); err != nil {
		return err
	}
	a.parts.Logger.Info("a member was removed", "node", m.Node)
	return a.node.RemoveServer(ctx, m.Node)
}
