package consensus_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
)

// A leader that is cut off goes on to believe that it leads for a while: it
// must not answer for the cluster.
func TestCutOffLeaderDoesNotVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.stop()
		lead := c.leader()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if err := lead.node.Verify(t.Context()); err != nil {
					t.Errorf("the leader does not verify: %v", err)
				}
			})
		}
		all.Wait()
		for _, m := range c.members {
			if m != lead {
				m.transport.Disconnect(raft.ServerAddress(lead.name))
				if err := m.node.Verify(t.Context()); !errors.Is(err, consensus.ErrNotLeader) {
					t.Errorf("a follower: got %v, want ErrNotLeader", err)
				}
			}
		}
		lead.transport.DisconnectAll()
		if !lead.node.Serving() {
			t.Fatal("it has noticed already, and the test shows nothing")
		}
		if err := lead.node.Verify(t.Context()); !errors.Is(err, consensus.ErrNotLeader) {
			t.Errorf("cut off: got %v, want ErrNotLeader", err)
		}
	})
}

// Answers from before the question, which lay in a socket while the leader was
// stopped, say nothing about now.
func TestLateAnswersDoNotVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.stop()
		lead := c.leader()
		held := make(chan struct{})
		lead.held.Store(&held)
		time.Sleep(100 * time.Millisecond) // each peer has answered one more heartbeat
		lead.transport.DisconnectAll()
		go func() {
			time.Sleep(time.Millisecond)
			close(held)
		}()
		if !lead.node.Serving() {
			t.Fatal("it has noticed already, and the test shows nothing")
		}
		if err := lead.node.Verify(t.Context()); !errors.Is(err, consensus.ErrNotLeader) {
			t.Errorf("cut off: got %v, want ErrNotLeader", err)
		}
	})
}

// The leadership goes to whom it is given, and a node without a vote cannot have
// it.
func TestTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.stop()
		for _, m := range c.members {
			lead := c.leader()
			if lead == m {
				continue
			}
			// The one that it was given to stands for election at once, and can
			// still lose it; the one that led may not have noticed yet.
			var err error
			for tries := 0; c.leader() != m && tries < 10; tries++ {
				if err = c.leader().node.Transfer(m.name); err != nil && tries == 0 {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			if now := c.leader(); now != m {
				t.Errorf("%s leads, want %s (%v)", now.name, m.name, err)
			}
			c.propose(project(1))
		}
		lead := c.leader()
		if err := lead.node.Transfer("node-9"); err == nil {
			t.Error("nobody leads now")
		}
		if err := lead.node.Transfer(""); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if c.leader() == lead {
			t.Errorf("%s still leads", lead.name)
		}
	})
}
