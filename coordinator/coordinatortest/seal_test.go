package coordinatortest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/task"
)

// sealed waits until every chunk of a job that ended is sealed, and returns its
// stages as the state has them.
func sealed(t *testing.T, c *coordinatortest.Cluster, id task.JobID) (stages []state.Stage, sheaves []task.Digest) {
	t.Helper()
	c.WaitFor("every chunk to be sealed", func() bool {
		done := true
		stages, sheaves = nil, nil
		c.Leader().State(func(s *state.State) {
			n, _ := s.JobByID(id)
			j, _ := s.Job(n)
			for _, id := range j.Stages {
				st := s.Stage(id)
				stages = append(stages, *st)
				done = done && st.Sealed == (st.Cursor+state.ChunkTasks-1)/state.ChunkTasks
				s.SealedParts(id, 0, st.Sealed, func(p state.Part) { sheaves = append(sheaves, p.Sheaf) })
			}
		})
		return done
	})
	return stages, sheaves
}

// A job's records leave the coordinators' memory, and everything that they said
// is still there to be read.
func TestSealedJobIsStillThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tasks = 5000
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		s := spec(t, tasks, 2)
		s.Reduce = &task.Reduce{Program: s.Program, Meter: 1, FanIn: 100, Limits: s.Limits}
		id := p.Submit(s)
		hosts := []*coordinatortest.Host{c.NewHost(1, honest), c.NewHost(2, honest), c.NewHost(3, liar), c.NewHost(4, honest)}
		for _, h := range hosts {
			h.Facts.Cores = 64
		}
		c.WaitFor("the job to end", func() bool {
			for _, h := range hosts {
				h.Contact(250)
			}
			return c.Job(id).State != "running"
		})
		stages, sheaves := sealed(t, c, id)
		if len(stages) != 3 || stages[0].Sealed != 2 || stages[0].Evidence.IsZero() {
			t.Fatalf("levels: %+v", stages)
		}
		want := wantRoot(0, tasks, func(i uint64) []string { return []string{fmt.Sprint(i)} }, 0)
		if v := c.Job(id); v.ResultRoot != want || v.Levels[0].Sealed != tasks || v.Levels[0].Evidence != stages[0].Evidence {
			t.Errorf("the job is %+v, want the root %s", v, want)
		}
		if lost, twice, err := c.Lost(id, hosts...); lost+twice > 0 {
			t.Errorf("%d lost, %d credited twice: %v", lost, twice, err)
		}
		evidence(t, c, stages[0], sheaves[:2], want, 1)
		fresh := c.Nodes[0] // one that starts anew has no records either
		c.Kill(fresh)
		c.Start(fresh)
		c.Check()
		if _, err := fmt.Sscan(string(c.Get(protocol.OutputPath(id, 0, 4999, 1))[:5]), new(string)); err != nil {
			t.Errorf("an output of a sealed task: %v", err)
		}
	})
}

// evidence reads the sheaves as anybody can, computes both roots from them, and
// looks for so many wrong results at least. The second sheaf of a chunk follows the
// first.
func evidence(t *testing.T, c *coordinatortest.Cluster, st state.Stage, digests []task.Digest, root task.Digest, atLeast int) {
	t.Helper()
	var results, all task.Tree
	wrong := 0
	var chunks []*sheaves.Sheaf
	for _, d := range digests {
		s, err := sheaves.Decode(c.Get(protocol.PathBlobs + d.String()))
		if err != nil {
			t.Fatal(err)
		}
		all.Add(d[:])
		if n := len(chunks); n > 0 && chunks[n-1].First == s.First {
			if chunks[n-1], err = sheaves.Merge(chunks[n-1], s); err != nil {
				t.Fatal(err)
			}
			continue
		}
		chunks = append(chunks, s)
	}
	for _, s := range chunks {
		for i := range s.Tasks {
			results.Add(s.Leaf(i))
			for _, a := range s.Tasks[i].Attempts {
				if a.End == sheaves.Wrong {
					wrong++
				}
			}
		}
	}
	if results.Root() != root || all.Root() != st.Evidence || wrong < atLeast {
		t.Errorf("the sheaves give the root %s (want %s), the evidence %s (want %s) and %d wrong results",
			results.Root().Short(), root.Short(), all.Root().Short(), st.Evidence.Short(), wrong)
	}
}

// What a cancelled job leaves behind goes too, and its volunteers are paid for
// what was decided.
func TestCancelledJobLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 1)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		id := p.Submit(spec(t, 1000, 1))
		h := c.NewHost(1, honest)
		h.Contact(20)
		h.Contact(20)
		c.WaitFor("verdicts", func() bool {
			judged := false
			c.Leader().State(func(s *state.State) { judged = s.Stage(1).Accepted == 20 })
			return judged
		})
		p.Do(protocol.PurposeCancel, protocol.Cancel{Job: id})
		sealed(t, c, id)
		c.Leader().State(func(s *state.State) {
			_, host, _ := s.HostByKey(h.Public())
			if host.Pending != 0 || host.Earned != 20*5 {
				t.Errorf("the host has %d pending and %d earned, want 100 earned", host.Pending, host.Earned)
			}
			if n := s.OpenCount(1); n != 0 {
				t.Errorf("%d attempts are still out", n)
			}
		})
		if r := h.Contact(20); len(r.Attempts) != 0 {
			t.Errorf("given %d attempts of a cancelled job", len(r.Attempts))
		}
		c.Check()
	})
}

// R1: a chunk's records go only when its sheaf is on a majority: until then
// they are all there is.
func TestSealWaitsForTheMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.NewOn(t, 3, coordinatortest.NewNetwork(1))
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		id := p.Submit(spec(t, 10, 1))
		c.Net.Hold("/internal/v1/blobs") // where sheaves go; outputs have a place of their own
		h := c.NewHost(1, honest)
		c.WaitFor("the job to end", func() bool {
			h.Contact(10)
			return c.Job(id).State == "done"
		})
		time.Sleep(10 * time.Second) // in the bubble: it is tried many times
		if v := c.Job(id); v.Levels[0].Sealed != 0 {
			t.Errorf("R1: %d tasks are sealed, and only the leader can have their sheaf", v.Levels[0].Sealed)
		}
		c.Net.Hold("")
		sealed(t, c, id)
		c.Kill(c.LeaderNode())
		if got := string(c.Get(protocol.OutputPath(id, 0, 3, 0))); got == "" {
			t.Error("an output of a sealed task is empty")
		}
		if lost, twice, err := c.Lost(id, h); lost+twice > 0 {
			t.Errorf("%d lost, %d credited twice: %v", lost, twice, err)
		}
	})
}
