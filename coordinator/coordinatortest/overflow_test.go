package coordinatortest_test

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/backup"
	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

// fetched is a cluster as somebody reads it who fetches results.
type fetched struct{ c *coordinatortest.Cluster }

func (f fetched) Cluster(context.Context) (task.ClusterID, error) {
	var view protocol.ClusterView
	f.c.GetJSON(protocol.PathCluster, &view)
	return view.Cluster, nil
}

func (f fetched) Job(_ context.Context, id task.JobID) (protocol.JobView, error) {
	return f.c.Job(id), nil
}

func (f fetched) Spec(_ context.Context, id task.JobID) ([]byte, error) {
	return f.c.Get(protocol.SpecPath(id)), nil
}

func (f fetched) Results(_ context.Context, id task.JobID, level uint8, from uint64, limit int) (page protocol.ResultPage, err error) {
	f.c.GetJSON(protocol.ResultsPath(id, level, from, limit), &page)
	return page, nil
}

func (f fetched) Output(_ context.Context, id task.JobID, level uint8, index uint64, file int) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(f.c.Get(protocol.OutputPath(id, level, index, file)))), nil
}

// fetchAndVerify fetches a job into a new folder, checks it, and returns how many
// results there are.
func fetchAndVerify(t *testing.T, c *coordinatortest.Cluster, id task.JobID) uint64 {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "results")
	f, err := publisher.Fetch(t.Context(), fetched{c}, id, dir, publisher.FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{ResultRoot: c.Job(id).ResultRoot}); err != nil {
		t.Error(err)
	}
	return f.Released
}

// rootsOfOneHost are the roots of a job that one host computes alone, in another
// cluster.
func rootsOfOneHost(t *testing.T, s *task.JobSpec) (result, reduce task.Digest) {
	c := coordinatortest.New(t, 1)
	defer c.Stop()
	alone := *s
	alone.Check.Replicate = 1
	id := c.NewPublisher(1, program(t)).Submit(&alone)
	h := c.NewHost(1, largeEvery)
	h.Facts.Cores = 64
	c.WaitFor("the job without a stuck host", func() bool {
		h.Contact(250)
		return c.Job(id).State == "done"
	})
	v := c.Job(id)
	return v.ResultRoot, v.ReduceRoot
}

// A host that is stuck with 20 tasks pins neither the records nor the outputs of
// the 4,076 others of their chunk. The job ends with the result root of the same
// job without it, whoever leads, is backed up or read meanwhile.
func TestStuckHostPinsNoChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const tasks, stuckWith, early = 4200, 20, state.ChunkTasks - 20
		s := spec(t, tasks, 2)
		s.Limits.Output, s.Collect = 1<<20, task.CollectConcat
		s.Reduce = &task.Reduce{Program: s.Program, Meter: 1, Args: []string{"all"}, FanIn: 100, Limits: s.Limits}
		want, wantReduced := rootsOfOneHost(t, s)
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		a, b, stuck := c.NewHost(1, largeEvery), c.NewHost(2, largeEvery), c.NewHost(3, nil)
		a.Facts.Cores, b.Facts.Cores = 64, 64
		run := func(what string, holds func() bool) {
			c.WaitFor(what, func() bool {
				for _, h := range []*coordinatortest.Host{a, b} {
					h.Contact(250)
				}
				return holds()
			})
		}
		id := p.Submit(s)
		stuck.Contact(stuckWith)
		if stuck.Holds() != stuckWith {
			t.Fatalf("the stuck host holds %d tasks", stuck.Holds())
		}
		// Each of its tasks has the result of one other host; the second one does not
		// call any more once all the others have theirs.
		a.Contact(stuckWith)
		decided := func() (n uint64) {
			c.Leader().State(func(s *state.State) {
				if k, ok := s.Chunk(1, 0); ok {
					n = uint64(k.Decided)
				}
			})
			return n
		}
		run("the others to be decided", func() bool { return decided() == early })
		level := func() protocol.LevelView { return c.Job(id).Levels[0] }
		time.Sleep(30 * time.Second)
		if l := level(); l.Released > tasks-state.ChunkTasks || l.Tasks != tasks {
			t.Errorf("%d tasks are released before any has dragged on", l.Released)
		}
		sealedOthers := func() bool {
			sealed := false
			c.Leader().State(func(s *state.State) {
				s.SealedParts(1, 0, 1, func(part state.Part) { sealed = !part.Late })
			})
			return sealed
		}
		time.Sleep(time.Minute)
		c.WaitFor("the others to be sealed", sealedOthers)
		if l := level(); l.Released < early || l.Released == tasks || !l.Root.IsZero() || len(c.Job(id).Levels) != 1 {
			t.Errorf("the level is %+v, want the others released, no root, and no level above", l)
		}
		c.Leader().State(func(s *state.State) {
			if !s.OutputGroupGone(state.OutputGroup(1, 4000)) || s.OutputGroupGone(state.OutputGroup(1, 3)) {
				t.Error("the outputs of the others have not gone, or those of the stragglers have")
			}
		})

		// Whatever happens now: results are read, it is backed up, a day passes, what
		// nobody needs is collected, leaders change.
		if got := fetchAndVerify(t, c, id); got < early || got == tasks {
			t.Errorf("%d results were fetched, want the %d that do not drag on", got, early)
		}
		path := filepath.Join(t.TempDir(), "a.backup")
		if _, err := backup.Take(t.Context(), &source{c: c, reader: c.Operator()}, path, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := backup.Check(t.Context(), path); err != nil {
			t.Error(err)
		}
		later(t, c, 25*time.Hour)
		_, outputs := largeEvery(&task.Task{Args: []string{"0"}})
		wantCopies(t, c, "a straggler's result that waits for another", []byte(outputs["out/large"]), 0, 3)
		c.Kill(c.LeaderNode())
		for _, n := range c.Nodes {
			if n.Running() == nil {
				c.Start(n)
			}
		}

		run("the job with a stuck host", func() bool { return c.Job(id).State == "done" })
		stages, digests := sealed(t, c, id)
		if v := c.Job(id); v.ResultRoot != want || want.IsZero() || v.ReduceRoot != wantReduced || len(digests) != 5 {
			t.Errorf("the roots are %s and %s with %d sheaves, want %s and %s with 3 and one for each level above", v.ResultRoot, v.ReduceRoot, len(digests), want, wantReduced)
		}
		evidence(t, c, stages[0], digests[:3], want, 0)
		if got := fetchAndVerify(t, c, id); got != tasks {
			t.Errorf("%d results were fetched, want %d", got, tasks)
		}
		if lost, twice, err := c.Lost(id, a, b, stuck); lost+twice > 0 {
			t.Errorf("%d lost, %d credited twice: %v", lost, twice, err)
		}
		if _, err := backup.Take(t.Context(), &source{c: c, reader: c.Operator()}, filepath.Join(t.TempDir(), "b.backup"), nil); err != nil {
			t.Error(err)
		}
		for range 2 { // what was sealed since is collected
			c.Skip(25 * time.Hour)
			a.Contact(0)
			c.Check()
			c.CollectBlobs()
		}
		wantCopies(t, c, "a straggler's accepted output", []byte(outputs["out/large"]), 0, 3)
		fresh := c.Nodes[0]
		c.Kill(fresh)
		c.Start(fresh)
		c.Check()
	})
}
