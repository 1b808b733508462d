package coordinatortest_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/faulty"
	"github.com/sheafgrid/sheaf/task"
)

// kept is blobs of all sizes, on some nodes only.
type kept map[task.Digest]bool // whether it is an output

func keep(t *testing.T, into kept, nodes ...*coordinatortest.Node) {
	t.Helper()
	for n, size := range []int{0, 1, 64, 100 << 10, 2 << 20} {
		for _, output := range []bool{false, true} {
			b := append(fmt.Appendf(nil, "%d %d %t ", len(into), n, output), make([]byte, size)...)
			d := task.Sum(b)
			into[d] = output
			for _, node := range nodes {
				if err := store(node, output).Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func store(n *coordinatortest.Node, output bool) *faulty.Store {
	public, outputs := n.Stores()
	if output {
		return outputs
	}
	return public
}

// onMajority fails the test unless each blob is on a majority of the voters.
func onMajority(t *testing.T, c *coordinatortest.Cluster, blobs kept) {
	t.Helper()
	voters, err := c.Leader().Voters()
	if err != nil {
		t.Fatal(err)
	}
	for d, output := range blobs {
		n := 0
		for _, node := range c.Nodes {
			if _, votes := voters[node.Name]; votes {
				if ok, err := store(node, output).Has(t.Context(), d); err == nil && ok {
					n++
				}
			}
		}
		if n <= len(voters)/2 {
			t.Errorf("R1: blob %s (output: %t) is on %d of %d voters", d.Short(), output, n, len(voters))
		}
	}
}

// followers are the nodes that run and do not lead.
func followers(c *coordinatortest.Cluster) (out []*coordinatortest.Node) {
	lead := c.LeaderNode()
	for _, n := range c.Nodes {
		if n != lead && n.Running() != nil {
			out = append(out, n)
		}
	}
	return out
}

// R1: a node that takes a lost one's place has its vote only when what the lost
// one had is on a majority again; so the next one may be lost, too.
func TestR1NodesAreReplacedOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		blobs := kept{}
		for range 3 {
			f := followers(c)
			keep(t, blobs, c.LeaderNode(), f[0]) // f[1] was away
			c.Kill(f[0])
			c.Add(f[0].Name)
			onMajority(t, c, blobs)
		}
	})
}

// A plain new member, too, has what the others have.
func TestNewMemberCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 1)
		defer c.Stop()
		blobs := kept{}
		keep(t, blobs, c.Nodes[0])
		for range 3 {
			n := c.Add("")
			onMajority(t, c, blobs)
			for d, output := range blobs {
				if ok, err := store(n, output).Has(t.Context(), d); err != nil || !ok {
					t.Errorf("%s has not copied blob %s: %v", n.Name, d.Short(), err)
				}
			}
		}
	})
}

func remove(c *coordinatortest.Cluster, operator *coordinatortest.Party, node task.NodeID) *protocol.Reply {
	return operator.Send(operator.Envelope(protocol.PurposeOperate, protocol.Operate{Action: protocol.ActionRemove, Node: node}))
}

// R1: what only the removed member and one other have is copied first; the
// removed one ends, whether it leads or not; and the request may be repeated.
func TestR1RemovalCopiesFirst(t *testing.T) {
	for _, leads := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := coordinatortest.New(t, 3)
			defer c.Stop()
			blobs, goes := kept{}, followers(c)[0]
			keep(t, blobs, c.LeaderNode(), goes)
			if leads {
				goes = c.LeaderNode()
			}
			operator := c.Operator()
			if r := remove(c, operator, goes.Name); r.Error != nil || r.Done.Existed {
				t.Fatalf("got %+v", r)
			}
			if err := c.Bury(goes); err == nil || !strings.Contains(err.Error(), "was removed") {
				t.Errorf("the removed node ended with %v, want that it was removed", err)
			}
			c.WaitFor("the vote to be taken", func() bool {
				voters, err := c.Leader().Voters()
				return err == nil && len(voters) == 2
			})
			onMajority(t, c, blobs)
			if r := remove(c, operator, goes.Name); r.Error != nil || !r.Done.Existed {
				t.Errorf("removed again: got %+v, want that it was done before", r)
			}
			c.Start(goes)
			if err := c.Bury(goes); err == nil || !strings.Contains(err.Error(), "was removed") {
				t.Errorf("started again, it ended with %v, want that it was removed", err)
			}
		})
	}
}

// A removal that the others could not decide without is refused, and so are
// one of nobody, and one by somebody else.
func TestRemovalsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		f := followers(c)
		operator, stranger := c.Operator(), c.NewPublisher(1).Party
		c.Kill(f[0])
		for _, k := range []struct {
			by   *coordinatortest.Party
			node task.NodeID
			code protocol.Code
		}{
			{operator, f[1].Name, protocol.CodeConflict},
			{operator, c.LeaderNode().Name, protocol.CodeConflict},
			{operator, "n9", protocol.CodeInvalid},
			{operator, "No Name", protocol.CodeInvalid},
			{stranger, f[0].Name, protocol.CodeNotAllowed},
		} {
			if r := remove(c, k.by, k.node); !protocol.HasCode(r.Error, k.code) {
				t.Errorf("removing %q: got %+v, want code %d", k.node, r, k.code)
			}
		}
		if r := remove(c, operator, f[0].Name); r.Error != nil {
			t.Errorf("removing the one that is down: %v", r.Error)
		}
		c.WaitFor("it to be removed", func() bool {
			voters, err := c.Leader().Voters()
			return err == nil && len(voters) == 2
		})
	})
}

// A removal waits while what the member has cannot be copied, says why, and can
// be taken back; and one that leaves a blob short never comes about.
func TestRemovalWaitsAndIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		f, blobs := followers(c), kept{}
		keep(t, blobs, c.LeaderNode(), f[0])
		for _, s := range []*faulty.Store{store(f[1], true), store(f[1], false)} {
			s.Script(faulty.Fault{Op: faulty.Put, Err: storage.ErrNoSpace}, faulty.Fault{Op: faulty.PutBatch, Err: storage.ErrNoSpace})
		}
		operator := c.Operator()
		if r := remove(c, operator, f[0].Name); r.Error != nil {
			t.Fatal(r.Error)
		}
		time.Sleep(time.Minute)
		onMajority(t, c, blobs)
		var v protocol.MembersView
		operator.Read(protocol.PathMembers, &v)
		i := slices.IndexFunc(v.Members, func(m protocol.MemberView) bool { return m.Node == f[0].Name })
		if m := v.Members[i]; m.Role != protocol.RoleLeaving || !strings.Contains(m.Waits, "not on a majority") || !strings.Contains(m.Waits, string(f[1].Name)) {
			t.Errorf("it waits for %q as %s, want that %s has no room", m.Waits, m.Role, f[1].Name)
		}
		r := operator.Send(operator.Envelope(protocol.PurposeOperate, protocol.Operate{Action: protocol.ActionKeep, Node: f[0].Name}))
		if r.Error != nil {
			t.Fatal(r.Error)
		}
		operator.Read(protocol.PathMembers, &v)
		if m := v.Members[i]; m.Role != protocol.RoleVoter {
			t.Errorf("taken back, it is %s, want a voter", m.Role)
		}
		for _, s := range []*faulty.Store{store(f[1], true), store(f[1], false)} {
			s.Script()
		}
		if r := remove(c, operator, f[0].Name); r.Error != nil {
			t.Fatal(r.Error)
		}
		_ = c.Bury(f[0])
		c.WaitFor("it to be removed", func() bool {
			voters, err := c.Leader().Voters()
			return err == nil && len(voters) == 2
		})
		onMajority(t, c, blobs)
	})
}

// Whoever dies while a new node copies, the change comes about in the end, and
// nothing is lost.
func TestR1DeathsWhileCopying(t *testing.T) {
	for _, dies := range []string{"joiner", "leader"} {
		synctest.Test(t, func(t *testing.T) {
			c := coordinatortest.New(t, 3)
			defer c.Stop()
			blobs, f := kept{}, followers(c)
			for range 3 {
				keep(t, blobs, c.LeaderNode(), f[0])
			}
			c.Kill(f[0])
			c.CopyRate = 400_000 // half a minute for all
			joined := make(chan struct{})
			go func() { c.Add(f[0].Name); close(joined) }()
			time.Sleep(12 * time.Second)
			joiner := c.Newest()
			if n := copies(t, joiner, blobs); n == 0 || n == len(blobs) {
				t.Fatalf("%d of %d blobs are copied when the %s dies", n, len(blobs), dies)
			}
			victim := joiner
			if dies == "leader" {
				victim = c.LeaderNode()
			}
			c.Kill(victim)
			time.Sleep(5 * time.Second)
			c.Start(victim)
			select {
			case <-joined:
			case <-time.After(2 * time.Minute):
				t.Fatalf("after the death of the %s the node does not join", dies)
			}
			onMajority(t, c, blobs)
			if voters, err := c.Leader().Voters(); err != nil || len(voters) != 3 {
				t.Errorf("the voters are %v, %v; want three", voters, err)
			}
		})
	}
}

func copies(t *testing.T, n *coordinatortest.Node, blobs kept) (count int) {
	t.Helper()
	for d, output := range blobs {
		if ok, err := store(n, output).Has(t.Context(), d); err == nil && ok {
			count++
		}
	}
	return count
}

func TestLeadershipIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		operator := c.Operator()
		for _, n := range followers(c) {
			r := operator.Send(operator.Envelope(protocol.PurposeOperate, protocol.Operate{Action: protocol.ActionTransfer, Node: n.Name}))
			if r.Error != nil {
				t.Fatal(r.Error)
			}
			c.WaitFor(string(n.Name)+" to lead", func() bool { return c.LeaderNode() == n })
			var v protocol.MembersView
			operator.Read(protocol.PathMembers, &v)
			if v.Leader != n.Name || len(v.Members) != 3 || !v.OK {
				t.Errorf("the members are %+v, want 3 that are well, led by %s", v, n.Name)
			}
		}
		r := operator.Send(operator.Envelope(protocol.PurposeOperate, protocol.Operate{Action: protocol.ActionTransfer, Node: "n9"}))
		if !protocol.HasCode(r.Error, protocol.CodeInvalid) {
			t.Errorf("to nobody: got %+v", r)
		}
	})
}

// R3: a replica that went astray ends, and the others go on; the leader tells
// an operator before that.
func TestR3AstrayReplicaEnds(t *testing.T) {
	for _, leads := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := coordinatortest.New(t, 3)
			defer c.Stop()
			p := c.NewPublisher(1)
			astray := followers(c)[0]
			if leads {
				astray = c.LeaderNode()
			}
			astray.Running().State(func(s *state.State) { s.Cluster().Anyone = false })
			for i := range 4 { // entries, over some minutes
				time.Sleep(time.Minute)
				c.NewHost(10+i, honest)
			}
			err := c.Bury(astray)
			if err == nil || !strings.Contains(err.Error(), "R3") || !strings.Contains(err.Error(), string(astray.Name)) {
				t.Errorf("it ended with %v, want that it went astray", err)
			}
			c.NewHost(20, honest)
			c.Check()
			_ = p
			if names := followers(c); slices.Contains(names, astray) {
				t.Error("it still runs")
			}
		})
	}
}
