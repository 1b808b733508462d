package consensus_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// hangingStore is a log on a disk that may stop to answer.
type hangingStore struct {
	*raft.InmemStore
	hangs atomic.Bool
	gate  chan struct{} // closed when the disk answers again
}

func (h *hangingStore) StoreLogs(l []*raft.Log) error {
	if h.hangs.Load() {
		<-h.gate
	}
	return h.InmemStore.StoreLogs(l)
}

// A leader whose disk hangs would stay leader, since it goes on to send
// heartbeats: it must end, and say what it waited for, within seconds, though
// its own goroutines wait for the disk. The others then go on.
func TestHangingDiskEndsTheLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		lead := c.leader()
		disk := &hangingStore{InmemStore: lead.stores.Log.(*raft.InmemStore), gate: make(chan struct{})}
		c.kill(lead)
		lead.stores.Log, lead.stores.Dir = disk, "/data/raft"
		c.start(lead)
		for c.leader() != lead {
			if err := c.leader().node.Transfer(lead.name); err != nil {
				time.Sleep(time.Second)
			}
		}
		disk.hangs.Store(true)
		began := time.Now()
		go func() { _, _ = lead.node.Propose(t.Context(), project(1)) }()
		var err error
		ended := make(chan struct{})
		go func() { err = <-lead.done; close(ended) }()
		<-ended
		if err == nil || !strings.Contains(err.Error(), "writing the log in /data/raft") || !strings.Contains(err.Error(), "the disk hangs") {
			t.Errorf("it ended with %v, want that writing the log hangs", err)
		}
		if d := time.Since(began); d > 15*time.Second {
			t.Errorf("it ended after %s, want 15 s at most", d)
		}
		for _, other := range c.members { // the process is gone
			if other != lead {
				other.transport.Disconnect(raft.ServerAddress(lead.name))
			}
		}
		lead.transport.DisconnectAll()
		lead.node = nil
		c.propose(project(2))
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("the others went on after %s, want 20 s at most", d)
		}
		close(disk.gate)
		c.stop()
	})
}

// failingSnapshots fail at one of the steps of writing.
type failingSnapshots struct {
	raft.SnapshotStore
	step string
}

func (f *failingSnapshots) fail(step string) error {
	if f.step == step {
		return errors.New("input/output error")
	}
	return nil
}

func (f *failingSnapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, at uint64, t raft.Transport) (raft.SnapshotSink, error) {
	if err := f.fail("create"); err != nil {
		return nil, err
	}
	sink, err := f.SnapshotStore.Create(v, index, term, c, at, t)
	return &failingSink{sink, f}, err
}

type failingSink struct {
	raft.SnapshotSink
	of *failingSnapshots
}

func (s *failingSink) Write(b []byte) (int, error) {
	if err := s.of.fail("write"); err != nil {
		return 0, err
	}
	return s.SnapshotSink.Write(b)
}

func (s *failingSink) Close() error {
	if err := s.of.fail("close"); err != nil {
		return err
	}
	return s.SnapshotSink.Close()
}

func TestSnapshotErrorEndsTheNode(t *testing.T) {
	for _, step := range []string{"create", "write", "close"} {
		synctest.Test(t, func(t *testing.T) {
			c := &cluster{t: t}
			m := newMember("node-1")
			m.stores.Snapshots = &failingSnapshots{m.stores.Snapshots, step}
			c.members = []*member{m}
			c.start(m)
			if err := m.node.Bootstrap("node-1"); err != nil {
				t.Fatal(err)
			}
			c.leader()
			if err := m.node.Snapshot(); err == nil {
				t.Errorf("%s failed, and the snapshot was written", step)
			}
			err := <-m.done
			if err == nil || !strings.Contains(err.Error(), "a snapshot") {
				t.Errorf("%s failed: the node ended with %v, want that a snapshot could not be written", step, err)
			}
		})
	}
}
