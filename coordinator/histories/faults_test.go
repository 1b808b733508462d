package histories_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/coordinator/histories"
)

// Flags of this test, behind -args.
var (
	perFault = flag.Int("histories", 1, "histories of each fault")
	seedFrom = flag.Uint64("seed", 0, "seed of the first history; 0 draws one")
	long     = flag.Bool("long", false, "1,000 histories, whatever -histories says")
)

// fault is what is done to a cluster while clients work. It ends, and mends
// what it did, soon after ctx does.
type fault struct {
	name   string
	nodes  int
	expiry bool
	do     func(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand)
}

var faults = []fault{
	{"none", 3, false, func(context.Context, *coordinatortest.Cluster, *rand.Rand) {}},
	{"leader crashes", 3, false, crashLeader},
	{"any node crashes", 3, false, crashAny},
	{"all crash", 3, false, crashAll},
	{"leader alone", 3, false, leaderAlone},
	{"leader in a minority", 5, false, minority},
	{"leader is not heard", 3, false, func(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) { oneWay(ctx, c, rnd, true) }},
	{"leader hears nothing", 3, false, func(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) { oneWay(ctx, c, rnd, false) }},
	{"flapping links", 3, false, flapping},
	{"a member is added", 3, false, addMember},
	{"a member is replaced", 3, false, replaceMember},
	{"snapshot into a wiped node", 3, false, wipe},
	{"leaders whose clocks differ", 3, false, differentClocks},
	{"clock an hour ahead", 3, true, func(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) { jump(ctx, c, rnd, time.Hour) }},
	{"clock an hour back", 3, true, func(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) { jump(ctx, c, rnd, -time.Hour) }},
}

// R1, R2, C1: whatever happens to the coordinators, their answers are those of
// a single one that does one thing after the other.
func TestLinearizable(t *testing.T) {
	n := *perFault
	if *long {
		n = (1000 + len(faults) - 1) / len(faults)
	}
	first := *seedFrom
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	total := histories.History{}
	began := time.Now()
	ran := 0
	for _, f := range faults {
		ok := t.Run(f.name, func(t *testing.T) {
			var sum histories.History
			for i := range n {
				seed := first + uint64(i)
				ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { add(&sum, run(t, f, seed)) })
				})
				if !ok {
					t.Fatalf("once more: go test ./coordinator/histories -run 'TestLinearizable/%s' -args -histories=1 -seed=%d", f.name, seed)
				}
				ran++
			}
			fmt.Printf("%-28s %5d histories, %7d operations, %6d accepted results, %5d copies\n", f.name, n, sum.Operations, sum.Accepted, sum.Copies)
			add(&total, &sum)
		})
		if !ok {
			return
		}
	}
	fmt.Printf("%-28s %5d histories, %7d operations, %6d accepted results, %5d copies: all linearizable, in %s\n",
		"together", ran, total.Operations, total.Accepted, total.Copies, time.Since(began).Round(time.Second/10))
}

func add(sum, h *histories.History) {
	if h != nil {
		sum.Operations, sum.Jobs = sum.Operations+h.Operations, sum.Jobs+h.Jobs
		sum.Accepted, sum.Copies = sum.Accepted+h.Accepted, sum.Copies+h.Copies
	}
}

// run makes one history, in a bubble.
func run(t *testing.T, f fault, seed uint64) *histories.History {
	c := coordinatortest.NewOn(t, f.nodes, coordinatortest.NewNetwork(seed))
	defer c.Stop()
	rnd := rand.New(rand.NewPCG(seed, 3))
	cfg := histories.Config{Seed: seed, Cluster: clusterID, Program: program(t), Steps: 25, Expiry: f.expiry}
	h, err := histories.Run(t.Context(), cfg, inMemory{c}, func(ctx context.Context) error {
		f.do(ctx, c, rnd)
		c.Net.Heal()
		return nil
	})
	if err != nil {
		t.Fatalf("seed %d, %s: %v", seed, f.name, err)
	}
	c.Check()
	return h
}

// pass lets time go by, up to twice about on average; it reports false once ctx
// has ended.
func pass(ctx context.Context, rnd *rand.Rand, about time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(rnd.Int64N(int64(2 * about)))):
		return true
	}
}

func crashLeader(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) {
	for pass(ctx, rnd, 400*time.Millisecond) {
		n := c.LeaderNode()
		c.Kill(n)
		pass(ctx, rnd, 700*time.Millisecond)
		c.Start(n)
	}
}

func crashAny(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) {
	for pass(ctx, rnd, 300*time.Millisecond) {
		n := c.Nodes[rnd.IntN(len(c.Nodes))]
		c.Kill(n)
		pass(ctx, rnd, 300*time.Millisecond)
		c.Start(n)
	}
}

func crashAll(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) {
	for pass(ctx, rnd, 800*time.Millisecond) {
		for _, i := range rnd.Perm(len(c.Nodes)) {
			c.Kill(c.Nodes[i])
		}
		pass(ctx, rnd, 300*time.Millisecond)
		for _, i := range rnd.Perm(len(c.Nodes)) {
			c.Start(c.Nodes[i])
		}
	}
}

// others are all nodes but one.
func others(c *coordinatortest.Cluster, n *coordinatortest.Node) (list []*coordinatortest.Node) {
	for _, o := range c.Nodes {
		if o != n {
			list = append(list, o)
		}
	}
	return list
}

func leaderAlone(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) {
	for pass(ctx, rnd, 400*time.Millisecond) {
		n := c.LeaderNode()
		c.Net.Split([]*coordinatortest.Node{n}, others(c, n))
		pass(ctx, rnd, 1500*time.Millisecond)
		c.Net.Heal()
	}
}

func minority(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) {
	for pass(ctx, rnd, 400*time.Millisecond) {
		n := c.LeaderNode()
		rest := others(c, n)
		rnd.Shuffle(len(rest), func(i, k int) { rest[i], rest[k] = rest[k], rest[i] })
		c.Net.Split([]*coordinatortest.Node{n, rest[0]}, rest[1:])
		pass(ctx, rnd, 1500*time.Millisecond)
		c.Net.Heal()
	}
}

func oneWay(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand, mute bool) {
	for pass(ctx, rnd, 400*time.Millisecond) {
		n := c.LeaderNode()
		for _, o := range others(c, n) {
			if mute {
				c.Net.Cut(n, o)
			} else {
				c.Net.Cut(o, n)
			}
		}
		pass(ctx, rnd, 1500*time.Millisecond)
		c.Net.Heal()
	}
}

func flapping(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) {
	for pass(ctx, rnd, 150*time.Millisecond) {
		c.Net.Heal()
		for range 1 + rnd.IntN(3) {
			a, b := rnd.IntN(len(c.Nodes)), rnd.IntN(len(c.Nodes))
			if a != b {
				c.Net.Cut(c.Nodes[a], c.Nodes[b])
			}
		}
	}
}

func addMember(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) {
	pass(ctx, rnd, 400*time.Millisecond)
	c.Add("")
	pass(ctx, rnd, 300*time.Millisecond)
	c.Kill(c.LeaderNode()) // of four, one may go
	c.LeaderNode()
	c.Add("")
}

// lose kills a follower for good.
func lose(c *coordinatortest.Cluster, rnd *rand.Rand) *coordinatortest.Node {
	rest := others(c, c.LeaderNode())
	n := rest[rnd.IntN(len(rest))]
	c.Kill(n)
	return n
}

func replaceMember(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) {
	pass(ctx, rnd, 400*time.Millisecond)
	lost := lose(c, rnd)
	pass(ctx, rnd, 400*time.Millisecond)
	c.Add(lost.Name)
	pass(ctx, rnd, 300*time.Millisecond)
	loseLeader(ctx, c, rnd)
}

// loseLeader lets another node lead, without the one that did: what that one and
// a member lost before it had in common must be on the newcomer.
func loseLeader(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) {
	down := c.LeaderNode()
	c.Kill(down)
	c.LeaderNode()
	pass(ctx, rnd, 500*time.Millisecond)
}

// wipe loses a follower's disk. The log has been cut off behind a snapshot, so
// that the node that takes its place is sent that.
func wipe(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) {
	pass(ctx, rnd, 800*time.Millisecond)
	lost := lose(c, rnd)
	snapshot(c)
	pass(ctx, rnd, 200*time.Millisecond)
	fresh := c.Add(lost.Name)
	pass(ctx, rnd, 200*time.Millisecond)
	c.Kill(fresh)
	pass(ctx, rnd, 400*time.Millisecond)
	snapshot(c)
	c.Start(fresh)
	pass(ctx, rnd, 200*time.Millisecond)
	loseLeader(ctx, c, rnd)
}

func snapshot(c *coordinatortest.Cluster) {
	if err := c.Leader().Snapshot(); err != nil {
		c.TB.Errorf("snapshot: %v", err)
	}
}

// differentClocks lets nodes lead in turn whose clocks are hours apart: that
// must not be seen.
func differentClocks(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand) {
	for i, n := range c.Nodes {
		if n != c.LeaderNode() {
			n.JumpClock(time.Duration(2*i-1) * time.Hour)
		}
	}
	crashLeader(ctx, c, rnd)
}

func jump(ctx context.Context, c *coordinatortest.Cluster, rnd *rand.Rand, by time.Duration) {
	for range 2 {
		if pass(ctx, rnd, 500*time.Millisecond) {
			c.LeaderNode().JumpClock(by)
		}
	}
}
