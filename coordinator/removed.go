package coordinator

import (
	"context"
	"fmt"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// gone is what a member that was removed ends with.
func gone(node task.NodeID) error {
	return fmt.Errorf("node %s was removed from the cluster, and must not run any more; remove its data folder, and join with an empty one under a new --name", node)
}

// outOfTouch is for how many seconds a member hears of no leader before it asks
// whether it is still one.
const outOfTouch = 5

// watchMembership ends a node that was removed. It hears that from the log; or,
// if it was away then and is asked nothing any more, from any other member.
func (a *assembly) watchMembership(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	silent := 0
	for {
		if m, ok := a.ownMember(); ok && m.Removed {
			return gone(m.Node)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if silent++; a.node.Leader() != "" {
			silent = 0
		}
		if silent > 0 && silent%outOfTouch == 0 && a.toldToStop(ctx) {
			return gone(a.parts.Identity.Node)
		}
	}
}

func (a *assembly) ownMember() (m state.Member, ok bool) {
	a.node.View(func(s *state.State) {
		if p, found := s.Member(a.parts.Identity.Node); found {
			m, ok = *p, true
		}
	})
	return m, ok
}

// toldToStop asks the other members whether this node is still one.
func (a *assembly) toldToStop(ctx context.Context) bool {
	for _, m := range a.admitters(ctx) {
		if answer, err := a.askAdmission(ctx, m); err != nil && answer.Stop {
			return true
		}
	}
	return false
}
