package coordinator

import (
	"context"
	"errors"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/state"
)

// raiseEvery is how often a leader looks whether every member knows more than the
// cluster uses.
const raiseEvery = time.Second

// raiseVersion raises the cluster to the newest version that the programs of all
// its members know. It runs while this node leads.
func (a *assembly) raiseVersion(ctx context.Context) error {
	tick := time.NewTicker(raiseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		next, due, err := a.nextVersion()
		if err != nil || !due {
			if next > state.Newest {
				return nil // this program knows no more
			}
			continue
		}
		r, err := a.node.Node.Propose(ctx, &state.RaiseVersion{Version: next})
		if err == nil && r.Answer.Error == nil {
			a.parts.Logger.Info("the cluster has a new version: programs that do not know it can take no part any more", "version", next)
			if c := state.Greeting(next); c != nil {
				_, err = a.node.Node.Propose(ctx, c)
			}
		}
		if err != nil && !errors.Is(err, consensus.ErrNotLeader) && !errors.Is(err, consensus.ErrUnknown) && !errors.Is(err, consensus.ErrOverloaded) {
			return err
		}
	}
}

// nextVersion is the version after the cluster's, and whether every voter, and
// every member that clients are told of, knows it.
func (a *assembly) nextVersion() (next uint16, due bool, err error) {
	voters, err := a.node.Voters()
	if err != nil {
		return 0, false, err
	}
	a.node.View(func(s *state.State) {
		next = s.Version() + 1
		due = next <= state.Newest && !s.Cluster().ID.IsZero()
		s.Members(func(m *state.Member) { due = due && m.Knows() >= next })
		for name := range voters {
			m, ok := s.Member(name)
			due = due && ok && m.Knows() >= next
		}
	})
	return next, due, nil
}
