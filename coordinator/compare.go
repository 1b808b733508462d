package coordinator

import (
	"context"
	"fmt"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/task"
)

// compareEvery is how often a node compares its state with the others'.
const compareEvery = 30 * time.Second

// comparison is what a node's digests say beside those of others.
type comparison struct {
	index uint64      // of the last entry that could be compared; 0: none
	own   task.Digest // after it
	equal int         // other nodes that have the same
	most  task.Digest // the digest that most of the others have instead
	other int         // how many those are
}

// compareDigests compares, at the last entry of which this node and any other
// have a digest.
func compareDigests(own []consensus.DigestAt, others [][]consensus.DigestAt) (c comparison) {
	for i := len(own) - 1; i >= 0 && c.index == 0; i-- {
		counts := map[task.Digest]int{}
		for _, list := range others {
			for _, d := range list {
				if d.Index == own[i].Index {
					c.index, c.own = d.Index, own[i].Digest
					counts[d.Digest]++
				}
			}
		}
		c.equal = counts[c.own]
		for _, list := range others { // in a fixed order, and not by the map's
			for _, d := range list {
				if d.Index == c.index && d.Digest != c.own && counts[d.Digest] > c.other {
					c.most, c.other = d.Digest, counts[d.Digest]
				}
			}
		}
	}
	return c
}

// verdict is what a node of a cluster of so many voters makes of a comparison:
// an error that it must end with, or one to be told to people, or none.
func (c comparison) verdict(node task.NodeID, voters int) (end, tell error) {
	switch {
	case c.other == 0:
		return nil, nil
	case c.other > voters/2:
		return fmt.Errorf("R3: after entry %d the state of node %s is %s, and that of %d of %d coordinators is %s: this node's is wrong, and it must not go on; keep its data folder to find out why, start an empty one with a new --name, --join URL and --replace %s",
			c.index, node, c.own.Short(), c.other, voters, c.most.Short(), node), nil
	case c.equal+1 > voters/2:
		return nil, fmt.Errorf("R3: after entry %d the state of %d other coordinators is %s, and that of a majority, this node among them, is %s: the others end by themselves", c.index, c.other, c.most.Short(), c.own.Short())
	}
	return nil, fmt.Errorf("R3: after entry %d the coordinators' states differ, and no majority agrees: %s here, %s on %d others; stop the cluster and restore a backup", c.index, c.own.Short(), c.most.Short(), c.other)
}

// compareStates ends the node if its state is not that of a majority (R3).
func (a *assembly) compareStates(ctx context.Context) error {
	tick := time.NewTicker(compareEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		voters, err := a.node.Voters()
		if err != nil {
			continue
		}
		var others [][]consensus.DigestAt
		for _, q := range a.askAll(ctx, a.allMembers()) {
			if _, votes := voters[q.member.Node]; votes && q.err == nil && q.member.Node != a.parts.Identity.Node {
				others = append(others, q.standing.Digests)
			}
		}
		end, tell := compareDigests(a.node.Digests(), others).verdict(a.parts.Identity.Node, len(voters))
		if end != nil {
			return end
		}
		if tell != nil {
			a.parts.Logger.Error("the coordinators' states differ", "error", tell)
		}
	}
}
