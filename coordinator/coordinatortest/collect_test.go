package coordinatortest_test

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// later lets time pass, sees to it that every node has applied an entry that
// says so, and makes all of them collect.
func later(t *testing.T, c *coordinatortest.Cluster, d time.Duration) {
	t.Helper()
	c.NewPublisher(1000 + int(c.Skip(d)/time.Hour)) // each needs a number of its own
	c.Check()
	c.CollectBlobs()
}

func wantCopies(t *testing.T, c *coordinatortest.Cluster, what string, b []byte, public, outputs int) {
	t.Helper()
	if p, o := c.Copies(task.Sum(b)); p != public || o != outputs {
		t.Errorf("%s is on %d nodes as a public blob and on %d as an output, want %d and %d", what, p, o, public, outputs)
	}
}

// An upload that nobody refers to goes after a day, not before; what was
// published or is read by a running job stays.
func TestUnusedUploadsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		module := program(t)
		p := c.NewPublisher(1, module)
		unused, used, again := []byte("nobody's"), []byte("a job's"), []byte("put twice")
		digest := task.Sum(used)
		pieces := digest[:]
		for _, b := range [][]byte{unused, used, again, pieces} {
			if err := p.Upload(protocol.PathBlobs, b); err != nil {
				t.Fatal(err)
			}
		}
		s := spec(t, 3, 1)
		s.Inputs = []task.Input{{Path: "used", Blob: task.Sum(used), Size: int64(len(used)), Pieces: task.Sum(pieces)}}
		id := p.Submit(s)

		later(t, c, 23*time.Hour)
		wantCopies(t, c, "an unused upload of 23 hours ago", unused, 3, 0)
		if err := p.Upload(protocol.PathBlobs, again); err != nil {
			t.Fatal(err)
		}
		later(t, c, 2*time.Hour)
		wantCopies(t, c, "an unused upload of 25 hours ago", unused, 0, 0)
		wantCopies(t, c, "a blob that was put again 2 hours ago", again, 3, 0)
		wantCopies(t, c, "a running job's input", used, 3, 0)
		wantCopies(t, c, "the list of its pieces", pieces, 3, 0)
		wantCopies(t, c, "a program", module, 3, 0)

		// Whoever wants it now is told to upload it.
		s.Inputs = []task.Input{{Path: "unused", Blob: task.Sum(unused), Size: int64(len(unused))}}
		r := p.Send(p.Envelope(protocol.PurposeSubmit, protocol.Submit{Project: p.Project, Spec: protocol.EncodeSpec(s)}))
		if r.Error == nil || r.Error.Code != protocol.CodeMissingBlob {
			t.Errorf("a job that names a blob which has gone: %v, want missing blob", r.Error)
		}

		host := []*coordinatortest.Host{c.NewHost(1, honest)}
		if v := work(t, c, id, host, nil); v.State != "done" {
			t.Fatalf("the job is %s", v.State)
		}
		later(t, c, 23*time.Hour)
		wantCopies(t, c, "the input of a job that ended 23 hours ago", used, 3, 0)
		later(t, c, 2*time.Hour)
		wantCopies(t, c, "the input of a job that ended 25 hours ago", used, 0, 0)
		wantCopies(t, c, "the list of its pieces, then", pieces, 0, 0)
		wantCopies(t, c, "a program", module, 3, 0)
	})
}

// A job that names an old upload a moment before it would go keeps it, on every
// node, those included that learn of the job late.
func TestNamedJustBeforeItWouldGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		old := []byte("uploaded long ago")
		if err := p.Upload(protocol.PathBlobs, old); err != nil {
			t.Fatal(err)
		}
		c.Skip(24*time.Hour - time.Minute)
		s := spec(t, 3, 1)
		s.Inputs = []task.Input{{Path: "old", Blob: task.Sum(old), Size: int64(len(old))}}
		p.Submit(s)
		later(t, c, 2*time.Minute)
		wantCopies(t, c, "an old upload that a new job reads", old, 3, 0)
		later(t, c, 48*time.Hour)
		wantCopies(t, c, "and two days later", old, 3, 0)
	})
}

// What was accepted stays for good; wrong results go a day after the chunk is
// sealed, and what a reduction read a day after the job has ended.
func TestAcceptedOutputsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		s := spec(t, 4, 2)
		s.Limits.Output = 1 << 20
		limits := s.Limits
		s.Reduce = &task.Reduce{Program: s.Program, Meter: 1, FanIn: 4, Limits: limits}
		right := func(level uint8, i uint64) []byte {
			return bytes.Repeat(fmt.Appendf(nil, "right %d/%d ", level, i), 20_000)
		}
		wrong := bytes.Repeat([]byte("wrong "), 20_000)
		good := func(k *task.Task) (task.Exit, map[string]string) {
			return 0, map[string]string{"stdout": string(right(k.Level, k.Index))}
		}
		bad := func(*task.Task) (task.Exit, map[string]string) {
			return 0, map[string]string{"stdout": string(wrong)}
		}
		id := p.Submit(s)
		hosts := []*coordinatortest.Host{c.NewHost(1, good), c.NewHost(2, bad), c.NewHost(3, good)}
		// Two results that differ, and a day before the third.
		hosts[0].Contact(4)
		hosts[1].Contact(4)
		hosts[0].Contact(0)
		hosts[1].Contact(0)
		later(t, c, 25*time.Hour)
		wantCopies(t, c, "a result that waits for another", right(0, 0), 0, 3)
		wantCopies(t, c, "a wrong one that nobody has found out", wrong, 0, 3)

		c.WaitFor("the reduction to begin", func() bool {
			hosts[2].Contact(4)
			return len(c.Job(id).Levels) == 2
		})
		later(t, c, 25*time.Hour)
		wantCopies(t, c, "what a reduction reads", right(0, 0), 3, 3)
		if v := work(t, c, id, []*coordinatortest.Host{hosts[0], hosts[2]}, nil); v.State != "done" {
			t.Fatalf("the job is %s", v.State)
		}
		sealed(t, c, id)
		for range 2 {
			later(t, c, 25*time.Hour)
		}
		wantCopies(t, c, "an accepted output", right(0, 3), 0, 3)
		wantCopies(t, c, "the end result", right(1, 0), 0, 3)
		wantCopies(t, c, "a wrong output", wrong, 0, 0)
		for i := range uint64(4) {
			if got := c.Get(protocol.OutputPath(id, 0, i, 0)); !bytes.Equal(got, right(0, i)) {
				t.Errorf("task %d: fetched %d bytes, want %d", i, len(got), len(right(0, i)))
			}
		}
	})
}

// While a pack cannot be read, nothing is deleted.
func TestNothingGoesWhileAPackIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 1)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		id := p.Submit(spec(t, 3, 1))
		work(t, c, id, []*coordinatortest.Host{c.NewHost(1, honest)}, nil)
		sealed(t, c, id)
		var pack task.Digest
		c.Leader().State(func(s *state.State) {
			k, _ := s.Chunk(1, 0)
			pack = k.Pack
		})
		unused := []byte("nobody's")
		if err := p.Upload(protocol.PathBlobs, unused); err != nil {
			t.Fatal(err)
		}
		kept := c.Nodes[0].TakeAway(pack)
		c.Skip(25 * time.Hour)
		c.NewPublisher(2)
		if err := c.Nodes[0].Running().CollectBlobs(t.Context()); err == nil {
			t.Error("a round without a pack reports no error")
		}
		wantCopies(t, c, "an unused blob", unused, 1, 0)
		c.Nodes[0].PutBack(kept)
		c.CollectBlobs()
		wantCopies(t, c, "an unused blob, once the pack is there", unused, 0, 0)
	})
}
