package coordinator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// Before the members change it is looked whether those that there will be can
// decide without the one that goes, and have every blob.

// checkQuorum makes sure that the voters that stay can decide without one, and
// that so many of them know of the members' last change that no blob is
// accepted any more by the members before.
func (a *assembly) checkQuorum(ctx context.Context, without task.NodeID, changes uint64) error {
	var err error
	for range heardTries {
		if err = a.checkQuorumOnce(ctx, without, changes); !errors.Is(err, errNotHeard) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(heardWait):
		}
	}
	return err
}

// How long the leader waits for the others to hear of a change.
const (
	heardTries = 20
	heardWait  = 50 * time.Millisecond
)

// errNotHeard means that too few members know of a change yet.
var errNotHeard = errors.New("too few coordinators have heard of the change")

func (a *assembly) checkQuorumOnce(ctx context.Context, without task.NodeID, changes uint64) error {
	voters, err := a.votersAfter(without, "")
	if err != nil {
		return err
	}
	var stay []state.Member
	for _, m := range a.allMembers() {
		if voters[m.Node] {
			stay = append(stay, m)
		}
	}
	answer, know := 0, 0
	for _, q := range a.askAll(ctx, stay) {
		if q.err != nil {
			continue
		}
		answer++
		if q.standing.Changes >= changes {
			know++
		}
	}
	switch need := len(voters)/2 + 1; {
	case len(voters) == 0:
		return fmt.Errorf("node %s is the only one with a vote; add another coordinator first", without)
	case answer < need:
		return fmt.Errorf("without node %s, %d of %d coordinators answer, and it takes %d to decide anything; start the others first", without, answer, len(voters), need)
	case know < need:
		return fmt.Errorf("%w: %d of the %d that stay know that node %s goes; it takes %d", errNotHeard, know, len(voters), without, need)
	}
	return nil
}

// votersAfter are the voters that there will be.
func (a *assembly) votersAfter(without, with task.NodeID) (map[task.NodeID]bool, error) {
	voters, err := a.node.Voters()
	if err != nil {
		return nil, err
	}
	after := map[task.NodeID]bool{}
	for node := range maps.Keys(voters) {
		after[node] = true
	}
	if with != "" {
		after[with] = true
	}
	delete(after, without)
	return after, nil
}

// ownDisk is an error of the leader's own stores while it copies.
type ownDisk struct{ error }

// Unwrap returns what the disk said.
func (o *ownDisk) Unwrap() error { return o.error }

// level puts every blob on a majority of the voters to be, or says why not.
func (a *assembly) level(ctx context.Context, voters map[task.NodeID]bool) error {
	change := blobs.Change{Self: a.parts.Identity.Node, Voters: voters, Rate: a.parts.CopyRate, Unneeded: a.outputsGone}
	changes := a.changes()
	for _, m := range a.allMembers() {
		if m.Node != change.Self {
			change.Peers = append(change.Peers, a.peer(m.Node, changes))
		}
	}
	found, err := a.blobs.Level(ctx, change)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &ownDisk{fmt.Errorf("copying blobs for a change of the members: %w", err)}
	case found.Short > 0 && found.Why != nil:
		return fmt.Errorf("%d of %d blobs are not on a majority yet: %w", found.Short, found.Blobs, found.Why)
	case found.Short > 0:
		return fmt.Errorf("%d of %d blobs are not on a majority yet", found.Short, found.Blobs)
	}
	if found.Copied > 0 || found.Lost > 0 {
		a.parts.Logger.Info("copied blobs for a change of the members", "blobs", found.Blobs, "copied", found.Copied, "lost", found.Lost)
	}
	return nil
}

// outputsGone reports whether a group of outputs is in a pack by now.
func (a *assembly) outputsGone(group uint64) (gone bool) {
	a.node.View(func(s *state.State) { gone = s.OutputGroupGone(group) })
	return gone
}
