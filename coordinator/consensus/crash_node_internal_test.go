package consensus

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// crashing is a whole node, alone in its cluster, on a simulated disk.
type crashing struct {
	node *Node
	end  func() error
	led  chan struct{}
}

func openCrashing(f *simFiles) (*crashing, error) {
	w, kept, err := f.open()
	if err != nil {
		return nil, err
	}
	_, transport := raft.NewInmemTransport("one")
	c := &crashing{led: make(chan struct{}, 16)}
	stores := Stores{Log: w, Stable: w, Snapshots: kept, Transport: transport, Close: []io.Closer{w}}
	c.node, err = Open(Config{
		Node: "one", Stores: stores, Timing: TimingLAN(), Trailing: 2, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Lead: func(ctx context.Context) error { c.led <- struct{}{}; <-ctx.Done(); return nil },
	})
	if err != nil {
		_ = w.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.node.Run(ctx) }()
	c.end = func() error { cancel(); return <-done }
	return c, nil
}

// leads waits until the node leads, and reports false if its disk ended it.
func (c *crashing) leads() bool {
	select {
	case <-c.led:
		return true
	case <-c.node.fatal.Failed():
	case <-time.After(time.Minute):
	}
	return false
}

// projects is how many projects the script makes, and where it takes snapshots.
const projects = 12

// crashScript makes projects, one after the other, and returns those that were
// acknowledged.
func crashScript(f *simFiles) (acked []int) {
	c, err := openCrashing(f)
	if err != nil {
		return nil
	}
	defer func() { _ = c.end() }() // it is the disk's error
	if c.node.Bootstrap("one") != nil || !c.leads() {
		return nil
	}
	if _, err := c.node.Propose(context.Background(), &state.InitCluster{ID: task.ClusterID{1}, Anyone: true}); err != nil {
		return nil
	}
	for i := range projects {
		if _, err := c.node.Propose(context.Background(), makeProject(i)); err != nil {
			return acked
		}
		acked = append(acked, i)
		if i%5 == 4 && c.node.Snapshot() != nil {
			return acked
		}
	}
	return acked
}

func makeProject(i int) *state.CreateProject {
	return &state.CreateProject{
		Request: state.Request{Key: task.Key{1}, Session: 1, Opened: task.Millis(time.Now().UnixMilli()), Number: uint64(i + 1), Sum: task.Digest{byte(i)}},
		Name:    fmt.Sprintf("project-%d", i), AccountName: "account",
	}
}

// wantAcknowledged starts the node again, and looks for what was acknowledged,
// and for what was asked for twice.
func wantAcknowledged(t *testing.T, name string, f *simFiles, acked []int) {
	t.Helper()
	c, err := openCrashing(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	defer func() {
		if err := c.end(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}()
	if len(acked) == 0 && c.node.raft.LastIndex() == 0 {
		return // it was not bootstrapped
	}
	if !c.leads() {
		t.Fatalf("%s: R1: it was bootstrapped, and does not lead: %v", name, c.node.fatal.Err())
	}
	c.node.View(func(s *state.State) {
		for _, i := range acked {
			if _, ok := s.ProjectByName(fmt.Sprintf("project-%d", i)); !ok {
				t.Errorf("%s: R1: project %d was acknowledged and is gone", name, i)
			}
		}
		if err := s.Check(); err != nil && !s.Cluster().ID.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	})
	if len(acked) > 0 { // R2: the last one again
		last := acked[len(acked)-1]
		r, err := c.node.Propose(t.Context(), makeProject(last))
		if err != nil || !r.Repeated && !protocol.HasCode(r.Answer.Error, protocol.CodeAlreadyDone) && !protocol.HasCode(r.Answer.Error, protocol.CodeReusedNumber) {
			t.Errorf("%s: R2: project %d again: %+v, %v", name, last, r, err)
		}
	}
}

// R1: what a node acknowledged survives a power cut at any step of its disk.
func TestNodePowerCutAtEveryStep(t *testing.T) {
	whole := newSimFiles(t)
	whole.quietVotes = true
	synctest.Test(t, func(t *testing.T) {
		if acked := crashScript(whole); len(acked) != projects {
			t.Fatalf("%d projects were made, want %d", len(acked), projects)
		}
	})
	n := whole.disk.Steps()
	for k := 1; k <= n; k += stride() {
		f := newSimFiles(t)
		f.quietVotes = true
		f.disk.CutAt(f.disk.Steps() + k)
		synctest.Test(t, func(t *testing.T) {
			acked := crashScript(f)
			for seed := range uint64(2) {
				after := f.afterPowerCut(rand.New(rand.NewPCG(uint64(k), seed)))
				wantAcknowledged(t, fmt.Sprintf("power cut at step %d, seed %d", k, seed), after, acked)
			}
		})
		if t.Failed() {
			return
		}
	}
	fmt.Printf("consensus: a node with its state: %d crash points of a power cut, 2 outcomes each\n", (n+stride()-1)/stride())
}
