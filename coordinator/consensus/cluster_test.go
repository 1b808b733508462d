package consensus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/coordinator/consensus"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// member is one node of a cluster that talks through memory. Its stores
// outlive it, as a disk does.
type member struct {
	name      task.NodeID
	stores    consensus.Stores
	transport *raft.InmemTransport
	held      atomic.Pointer[chan struct{}] // answers to its heartbeats wait until it is closed; nil: none does
	node      *consensus.Node
	done      chan error // what Run returned
	stop      func() error
	leads     int
}

// slowAnswers keeps answers that have come from who asked, as a socket does while
// the process is stopped.
type slowAnswers struct {
	*raft.InmemTransport
	held *atomic.Pointer[chan struct{}]
}

func (s *slowAnswers) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	err := s.InmemTransport.AppendEntries(id, target, args, resp)
	if held := s.held.Load(); held != nil {
		<-*held
	}
	return err
}

type cluster struct {
	t       *testing.T
	members []*member
}

func quiet() *slog.Logger {
	if os.Getenv("SHEAF_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

func newMember(name task.NodeID) *member {
	log := raft.NewInmemStore()
	return &member{name: name, stores: consensus.Stores{Log: log, Stable: log, Snapshots: raft.NewInmemSnapshotStore()}}
}

// start runs a member on its stores, with a new transport at its old address.
func (c *cluster) start(m *member) {
	c.t.Helper()
	_, m.transport = raft.NewInmemTransport(raft.ServerAddress(m.name))
	m.stores.Transport = &slowAnswers{InmemTransport: m.transport, held: &m.held}
	var err error
	m.node, err = consensus.Open(consensus.Config{
		Node: m.name, Stores: m.stores, Timing: consensus.TimingLAN(), Logger: quiet(),
		Lead: func(ctx context.Context) error { m.leads++; <-ctx.Done(); return nil },
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, other := range c.members {
		if other != m && other.node != nil {
			other.transport.Connect(raft.ServerAddress(m.name), m.transport)
			m.transport.Connect(raft.ServerAddress(other.name), other.transport)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.node.Run(ctx) }()
	m.done, m.stop = done, func() error { cancel(); return <-done }
}

// kill ends a member without a word to the others.
func (c *cluster) kill(m *member) {
	c.t.Helper()
	for _, other := range c.members {
		if other != m && other.node != nil {
			other.transport.Disconnect(raft.ServerAddress(m.name))
		}
	}
	m.transport.DisconnectAll()
	if err := m.stop(); err != nil {
		c.t.Fatal(err)
	}
	m.node = nil
}

func newCluster(t *testing.T, n int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for i := range n {
		m := newMember(task.NodeID(fmt.Sprint("node-", i+1)))
		c.members = append(c.members, m)
		c.start(m)
		if i == 0 {
			if err := m.node.Bootstrap(string(m.name)); err != nil {
				t.Fatal(err)
			}
			c.propose(&state.InitCluster{ID: task.ClusterID{1}, Anyone: true})
			continue
		}
		if err := c.leader().node.AddVoter(t.Context(), m.name, string(m.name)); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *cluster) stop() {
	for _, m := range c.members {
		if m.node != nil {
			c.kill(m)
		}
	}
}

func (c *cluster) leader() *member {
	c.t.Helper()
	for range 1000 {
		for _, m := range c.members {
			if m.node != nil && m.node.Serving() {
				return m
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Fatal("no leader")
	return nil
}

// propose repeats a command until a leader has answered it.
func (c *cluster) propose(cmd state.Command) state.Result {
	c.t.Helper()
	for range 100 {
		r, err := c.leader().node.Propose(c.t.Context(), cmd)
		if err == nil {
			return r
		}
		if !errors.Is(err, consensus.ErrNotLeader) && !errors.Is(err, consensus.ErrUnknown) {
			c.t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Fatal("no answer")
	return state.Result{}
}

// equal waits until all members have applied the same, and compares digests.
func (c *cluster) equal() {
	c.t.Helper()
	for range 1000 {
		seen := map[uint64]task.Digest{}
		n := 0
		for _, m := range c.members {
			if m.node == nil {
				continue
			}
			n++
			index, digest := m.node.Digest()
			if other, ok := seen[index]; ok && other != digest {
				c.t.Fatalf("R3: at entry %d %s has state %s, another %s", index, m.name, digest.Short(), other.Short())
			}
			seen[index] = digest
		}
		if len(seen) == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.t.Fatal("the members never came to the same entry")
}

func project(n int) *state.CreateProject {
	k := task.Key{byte(n), byte(n >> 8), 1}
	return &state.CreateProject{
		Request: state.Request{
			Key: k, Session: 1, Opened: task.Millis(time.Now().UnixMilli()), Number: 1, Sum: task.Digest{byte(n), byte(n >> 8)},
		},
		Name: fmt.Sprint("p", n),
	}
}

func (m *member) projects() int {
	n := 0
	m.node.View(func(s *state.State) { s.Projects(func(task.ProjectID, *state.Project) { n++ }) })
	return n
}

// R1: what was acknowledged survives the loss of the leader, again and again.
func TestR1LeaderIsLostAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.stop()
		n := 0
		for range 5 {
			for range 20 {
				if r := c.propose(project(n)); r.Answer.Error != nil {
					t.Fatal(r.Answer.Error)
				}
				n++
			}
			lost := c.leader()
			c.kill(lost)
			c.propose(project(n))
			n++
			c.start(lost)
		}
		c.equal()
		for _, m := range c.members {
			if got := m.projects(); got != n {
				t.Errorf("%s has %d projects, %d were acknowledged", m.name, got, n)
			}
		}
	})
}

// R2: a command whose outcome was unknown is carried out once, however often
// it is proposed.
func TestR2RepeatedAcrossLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.stop()
		first := c.propose(project(7))
		c.kill(c.leader())
		again := c.propose(project(7))
		if first.Answer.Error != nil || !again.Repeated || again.Answer.Error != nil {
			t.Errorf("first %+v, then %+v", first, again)
		}
	})
}

func TestManyProposersShareEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.stop()
		lead := c.leader().node
		before := lead.Status().Last
		done := make(chan error)
		for i := range 500 {
			go func() {
				_, err := lead.Propose(t.Context(), project(i))
				done <- err
			}()
		}
		for range 500 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if entries := lead.Status().Last - before; entries > 100 {
			t.Errorf("500 commands took %d entries", entries)
		}
		c.equal()
	})
}

// All members die at once and come back from their disks; one comes back from
// a snapshot.
func TestWholeClusterRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		for i := range 30 {
			c.propose(project(i))
			if i == 20 {
				if err := c.members[1].node.Snapshot(); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.stop()
		for _, m := range c.members {
			c.start(m)
		}
		defer c.stop()
		c.propose(project(30))
		c.equal()
		if got := c.leader().projects(); got != 31 {
			t.Errorf("%d projects after the restart, want 31", got)
		}
	})
}

// A node that joins late gets the state by a snapshot.
func TestLateNodeGetsASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		defer c.stop()
		for i := range 3000 { // beyond the entries kept behind a snapshot
			c.propose(project(i))
		}
		if err := c.leader().node.Snapshot(); err != nil {
			t.Fatal(err)
		}
		late := newMember("late")
		c.members = append(c.members, late)
		c.start(late)
		if err := c.leader().node.AddVoter(t.Context(), late.name, string(late.name)); err != nil {
			t.Fatal(err)
		}
		c.equal()
	})
}

// R5: a new leader goes on from the last logged time.
func TestR5TimeGoesOnAcrossLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.stop()
		var last task.Millis
		for i := range 6 {
			time.Sleep(3 * time.Second)
			c.propose(project(i))
			now := c.leader().node.Now()
			if now < last {
				t.Fatalf("R5: %d after %d", now, last)
			}
			if i > 0 && now-last < 2000 {
				t.Errorf("R5: 3 s passed, and cluster time moved by %d ms", now-last)
			}
			if i > 0 && now-last > 60_000 {
				t.Errorf("R5: 3 s passed and a leader was lost, and cluster time moved by %d ms", now-last)
			}
			last = now
			if i%2 == 0 {
				lost := c.leader()
				c.kill(lost)
				c.leader()
				c.start(lost)
			}
		}
	})
}

// brokenStore fails every write after a number of them.
type brokenStore struct {
	*raft.InmemStore
	left int
}

func (b *brokenStore) StoreLogs(l []*raft.Log) error {
	if b.left--; b.left < 0 {
		return errors.New("input/output error")
	}
	return b.InmemStore.StoreLogs(l)
}

func TestDiskErrorEndsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := raft.NewInmemStore()
		broken := &brokenStore{InmemStore: inner, left: 20}
		c := &cluster{t: t}
		m := newMember("node-1")
		m.stores.Log, m.stores.Stable = broken, broken
		c.members = []*member{m}
		c.start(m)
		if err := m.node.Bootstrap("node-1"); err != nil {
			t.Fatal(err)
		}
		var failed error
		for i := 0; failed == nil && i < 100; i++ {
			_, failed = c.leader().node.Propose(t.Context(), project(i))
			broken.left = max(broken.left, -1)
		}
		err := m.stop()
		if err == nil || failed == nil {
			t.Fatalf("propose: %v, run: %v; both must fail", failed, err)
		}
		t.Log(err)
		broken.left = 1 << 30 // the next write would work: it must not be tried
		if _, err := m.node.Propose(t.Context(), project(200)); err == nil {
			t.Error("the node took a command after a failed write")
		}
	})
}

// R4: an entry that this program cannot read ends the node by name.
func TestR4UnreadableEntryEndsTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := c.members[0]
		log := m.stores.Log.(*raft.InmemStore)
		c.propose(project(1))
		last, _ := log.LastIndex()
		c.kill(m)
		var term raft.Log
		if err := log.GetLog(last, &term); err != nil {
			t.Fatal(err)
		}
		if err := log.StoreLog(&raft.Log{Index: last + 1, Term: term.Term, Type: raft.LogCommand, Data: []byte("from the future")}); err != nil {
			t.Fatal(err)
		}
		c.start(m)
		time.Sleep(10 * time.Second)
		err := m.stop()
		if err == nil {
			t.Fatal("R4: the node went on")
		}
		t.Log(err)
	})
}

// A vote that nobody can give must not count: in a cluster that has just lost
// a node, it would be the end.
func TestUnreachableNodeGetsNoVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.stop()
		lead := c.leader()
		for _, m := range c.members {
			if m != lead {
				c.kill(m)
				break
			}
		}
		if err := lead.node.AddVoter(t.Context(), "node-4", "nowhere"); !errors.Is(err, consensus.ErrUnreachable) {
			t.Errorf("got %v, want ErrUnreachable", err)
		}
		c.propose(project(9))
	})
}

func TestRemovedServerHasNoVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4)
		defer c.stop()
		lead := c.leader()
		for _, m := range c.members {
			err := lead.node.RemoveServer(t.Context(), m.name)
			if m == lead && err == nil {
				t.Errorf("the leader %s removed itself", m.name)
			}
			if m == lead || err == nil {
				continue
			}
			t.Errorf("removing %s: %v", m.name, err)
		}
		if voters, err := lead.node.Voters(); err != nil || len(voters) != 1 {
			t.Errorf("the voters are %v, %v; want the leader alone", voters, err)
		}
		c.propose(project(9))
	})
}
