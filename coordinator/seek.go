package coordinator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/peers"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// complainEvery is how often a node that is refused, or waits, says so.
const complainEvery = time.Minute

// patientFor is how long it waits before it says so.
const patientFor = 5 * time.Second

// wish is what a node asks to be admitted with.
func (a *assembly) wish() joinRequest {
	id := &a.parts.Identity
	trouble, _ := a.copyTrouble.Load().(string)
	return joinRequest{
		Node: id.Node, URL: id.URL, Raft: id.Raft, Key: a.parts.Key,
		Replaces: id.Replaces, Instance: a.instance, Copied: a.hasCopied.Load(), Trouble: trouble, Version: state.Newest,
	}
}

// seekAdmission asks to be admitted until it is: of the leader it knows, of
// the members it knows, or of the one it was told to join. Meanwhile it copies
// what the members have. A node that must not run ends with an error.
func (a *assembly) seekAdmission(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var copying sync.WaitGroup
	defer copying.Wait()
	defer cancel()
	copying.Go(func() { a.copyBlobs(ctx) })
	complained := time.Now().Add(patientFor - complainEvery)
	complain := func(text string, by task.NodeID, why any) {
		if time.Since(complained) >= complainEvery {
			complained = time.Now()
			a.parts.Logger.Warn(text, "by", by, "why", why)
		}
	}
	for {
		for _, m := range a.admitters(ctx) {
			answer, err := a.askAdmission(ctx, m)
			switch {
			case err == nil && answer.Done && answer.Cluster == a.parts.Identity.Cluster:
				close(a.admitted)
				return nil
			case ctx.Err() != nil:
			case err == nil && a.hasCopied.Load():
				complain("this node has no vote yet", m.Node, answer.Waits)
			case err == nil:
			case answer.Stop:
				return err
			case answer.Refused, errors.Is(err, peers.ErrOtherCluster):
				complain("the cluster does not admit this node", m.Node, err)
			default:
				a.parts.Logger.Debug("not admitted yet", "by", m.Node, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// copyAgainAfter is how long a node waits after it could not copy.
const copyAgainAfter = 3 * time.Second

// copyBlobs copies what the members have while this node follows the log and
// has no vote yet. What fails it tries again.
func (a *assembly) copyBlobs(ctx context.Context) {
	told := false
	for wait := 300 * time.Millisecond; ctx.Err() == nil; {
		if a.mayCopy() {
			if !told {
				told = true
				a.parts.Logger.Info("copying blobs from the members, before this node gets its vote")
			}
			missed, err := a.blobs.Gather(ctx, a.parts.CopyRate, &a.copied)
			if err == nil {
				a.parts.Logger.Info("copied blobs", "blobs", a.copied.Blobs.Load(), "bytes", a.copied.Bytes.Load(), "not there any more", missed)
				a.copyTrouble.Store("")
				a.hasCopied.Store(true)
				return
			}
			if last := a.copyTrouble.Swap(err.Error()); last != err.Error() && ctx.Err() == nil {
				a.parts.Logger.Warn("blobs cannot be copied now; trying again", "error", err)
			}
			wait = copyAgainAfter
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// mayCopy reports whether this node knows of voters, and is none.
func (a *assembly) mayCopy() bool {
	m, ok := a.ownMember()
	if !ok || !m.Joining {
		return false
	}
	voters, err := a.node.Voters()
	_, own := voters[a.parts.Identity.Node]
	return err == nil && len(voters) > 0 && !own
}

// askAdmission asks one coordinator, or this one, once.
func (a *assembly) askAdmission(ctx context.Context, m Place) (joinAnswer, error) {
	if m.Node != a.parts.Identity.Node {
		return ask(ctx, a.parts.Peers.ClientAt(m.Node, m.Raft), peers.URL(m.Node, pathAdmit), a.wish())
	}
	waits, err := a.admit(ctx, a.wish())
	if err != nil {
		var refused *refusal
		stop := errors.As(err, &refused) && refused.stop
		return joinAnswer{Refused: refused != nil, Stop: stop}, err
	}
	return joinAnswer{Cluster: a.parts.Identity.Cluster, Done: waits == "", Waits: waits}, nil
}

// admitters are whom a node asks: the leader, or, while it knows of none, every
// coordinator that it has heard of. A node that has just started knows its
// cluster from its own files alone.
func (a *assembly) admitters(ctx context.Context) []Place {
	id := &a.parts.Identity
	if a.node.Serving() {
		return []Place{{id.Node, id.Raft}}
	}
	leader := a.node.Leader()
	if address := a.addressOf(leader); address != "" {
		return []Place{{leader, address}}
	}
	places := append(slices.Clone(id.Others), a.others()...)
	if a.parts.Find != nil {
		if node, address, err := a.parts.Find(ctx); err == nil && node != id.Node {
			places = append(places, Place{node, address})
		}
	}
	slices.SortFunc(places, Place.compare)
	return slices.Compact(places)
}
