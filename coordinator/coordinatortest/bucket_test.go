package coordinatortest_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator"
	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/task"
)

// hooked is a bucket that calls a test in the middle of putting a blob aside, or
// that fails.
type hooked struct {
	storage.Shared
	during func()
	fail   error
}

func (h *hooked) PutAside(ctx context.Context, d task.Digest, stamp int64, may func() error) error {
	return h.Shared.PutAside(ctx, d, stamp, func() error {
		if during := h.during; during != nil {
			h.during = nil
			during()
		}
		return may()
	})
}

func (h *hooked) List(ctx context.Context, fn func(task.Digest, int64) error) error {
	return h.Shared.List(ctx, func(d task.Digest, size int64) error {
		if err := fn(d, size); err != nil {
			return err
		}
		return h.fail
	})
}

// bucket makes stores that all nodes of a cluster share.
func bucket(t *testing.T) (public, outputs *hooked) {
	t.Helper()
	open := func() *hooked {
		s, err := memory.NewShared(memory.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return &hooked{Shared: s}
	}
	return open(), open()
}

// where is where a blob is in a bucket: in its place, aside, or not there.
func where(t *testing.T, s storage.Shared, b []byte) string {
	t.Helper()
	var places []string
	if err := s.List(t.Context(), func(d task.Digest, _ int64) error {
		if d == task.Sum(b) {
			places = append(places, "in place")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.ListAside(t.Context(), func(a storage.Aside) error {
		if a.Digest == task.Sum(b) {
			places = append(places, "aside")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(places, ", ")
}

func wantAt(t *testing.T, s storage.Shared, what string, b []byte, want string) {
	t.Helper()
	if got := where(t, s, b); got != want {
		t.Errorf("%s is %q in the bucket, want %q", what, got, want)
	}
}

// An upload that nobody refers to is put aside after a day, and deleted after
// another; what was published or is read by a running job stays.
func TestUnusedUploadsLeaveTheBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		public, outputs := bucket(t)
		c := coordinatortest.NewInBucket(t, 3, &coordinator.Bucket{Public: public, Outputs: outputs})
		defer c.Stop()
		module := program(t)
		p := c.NewPublisher(1, module)
		unused, used, late := []byte("nobody's"), []byte("a job's"), []byte("named a day late")
		for _, b := range [][]byte{unused, used, late} {
			if err := p.Upload(protocol.PathBlobs, b); err != nil {
				t.Fatal(err)
			}
		}
		job := func(b []byte) *protocol.Envelope {
			s := spec(t, 3, 1)
			s.Inputs = []task.Input{{Path: "in", Blob: task.Sum(b), Size: int64(len(b))}}
			return p.Envelope(protocol.PurposeSubmit, protocol.Submit{Project: p.Project, Spec: protocol.EncodeSpec(s)})
		}
		r := p.Send(job(used))
		if r.Error != nil {
			t.Fatal(r.Error)
		}
		later(t, c, time.Hour)
		later(t, c, 22*time.Hour)
		wantAt(t, public, "an unused upload of 23 hours ago", unused, "in place")
		later(t, c, 3*time.Hour)
		for what, b := range map[string][]byte{"an unused upload of 25 hours ago": unused, "another": late} {
			wantAt(t, public, what, b, "aside")
		}
		wantAt(t, public, "a running job's input", used, "in place")
		wantAt(t, public, "a program", module, "in place")

		later(t, c, 22*time.Hour)
		if r := p.Send(job(late)); r.Error != nil {
			t.Errorf("a job that names what was put aside: %v", r.Error)
		}
		later(t, c, 4*time.Hour)
		wantAt(t, public, "an unused upload of two days ago", unused, "")
		wantAt(t, public, "what a job began to name while it was aside", late, "in place")
		wantAt(t, public, "a running job's input", used, "in place")
		wantAt(t, public, "a program", module, "in place")
		if r := p.Send(job(unused)); r.Error == nil || r.Error.Code != protocol.CodeMissingBlob {
			t.Errorf("a job that names a blob which has gone: %v, want missing blob", r.Error)
		}

		host := []*coordinatortest.Host{c.NewHost(1, honest)}
		if v := work(t, c, r.Done.Job, host, nil); v.State != "done" {
			t.Fatalf("the job is %s", v.State)
		}
		later(t, c, time.Hour)
		later(t, c, 22*time.Hour)
		wantAt(t, public, "the input of a job that ended 23 hours ago", used, "in place")
		later(t, c, 3*time.Hour)
		wantAt(t, public, "the input of a job that ended 26 hours ago", used, "aside")
	})
}

// A job that names a blob at the very moment at which it is put aside has it.
func TestNamedWhileItIsPutAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		public, outputs := bucket(t)
		c := coordinatortest.NewInBucket(t, 3, &coordinator.Bucket{Public: public, Outputs: outputs})
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		old := []byte("uploaded long ago")
		if err := p.Upload(protocol.PathBlobs, old); err != nil {
			t.Fatal(err)
		}
		later(t, c, time.Hour)
		named := false
		public.during = func() {
			s := spec(t, 3, 1)
			s.Inputs = []task.Input{{Path: "old", Blob: task.Sum(old), Size: int64(len(old))}}
			c.NewPublisher(2, program(t)).Submit(s)
			named = true
		}
		later(t, c, 25*time.Hour)
		if !named {
			t.Fatal("nothing was put aside")
		}
		wantAt(t, public, "what was named in the middle", old, "aside")
		if got := c.Get(protocol.PathBlobs + task.Sum(old).String()); !bytes.Equal(got, old) {
			t.Errorf("read %q, want %q", got, old)
		}
		wantAt(t, public, "what was read", old, "in place, aside")
		if err := public.Delete(t.Context(), task.Sum(old)); err != nil { // the removal comes once more, late
			t.Fatal(err)
		}
		for range 3 {
			later(t, c, 23*time.Hour)
		}
		wantAt(t, public, "what a job reads, three days later", old, "in place")
	})
}

// A leader that is one no more removes nothing, and whoever comes after it begins
// to count anew.
func TestDeposedLeaderRemovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		public, outputs := bucket(t)
		c := coordinatortest.NewInBucket(t, 3, &coordinator.Bucket{Public: public, Outputs: outputs})
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		unused := []byte("nobody's")
		if err := p.Upload(protocol.PathBlobs, unused); err != nil {
			t.Fatal(err)
		}
		later(t, c, time.Hour)
		c.Skip(25 * time.Hour)
		first, next := c.LeaderNode(), followers(c)[0]
		operator := c.Operator()
		public.during = func() {
			if r := operator.Send(operator.Envelope(protocol.PurposeOperate, protocol.Operate{Action: protocol.ActionTransfer, Node: next.Name})); r.Error != nil {
				t.Error(r.Error)
			}
			c.WaitFor("another to lead", func() bool { return c.LeaderNode() == next })
		}
		if err := first.Running().CollectBlobs(t.Context()); err == nil || !strings.Contains(err.Error(), "may lead no more") {
			t.Errorf("the round of a leader that is deposed: %v, want that it may lead no more", err)
		}
		wantAt(t, public, "what it was about to remove", unused, "in place, aside")
		for c.Nodes[0] != next { // which knows what time it is
			c.Rotate()
		}
		later(t, c, time.Hour)
		wantAt(t, public, "what the next leader sees for the first time", unused, "in place, aside")
		later(t, c, 25*time.Hour)
		wantAt(t, public, "a day later", unused, "aside")
		later(t, c, 26*time.Hour)
		wantAt(t, public, "two days later", unused, "")
	})
}

// A bucket that fails in the middle of a round is tried again, and what was seen
// before is not forgotten.
func TestBucketFailsInARound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		public, outputs := bucket(t)
		c := coordinatortest.NewInBucket(t, 1, &coordinator.Bucket{Public: public, Outputs: outputs})
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		for _, b := range []string{"one", "two", "three"} {
			if err := p.Upload(protocol.PathBlobs, []byte(b)); err != nil {
				t.Fatal(err)
			}
		}
		later(t, c, time.Hour)
		c.Skip(12 * time.Hour)
		public.fail = errors.New("the bucket is away")
		if err := c.Leader().CollectBlobs(t.Context()); !errors.Is(err, public.fail) {
			t.Errorf("a round without the bucket: %v, want why", err)
		}
		public.fail = nil
		later(t, c, 14*time.Hour)
		for _, b := range []string{"one", "two", "three"} {
			wantAt(t, public, b, []byte(b), "aside")
		}
	})
}

// What was accepted stays in the bucket for good; wrong results go, once their
// chunk is sealed.
func TestAcceptedOutputsStayInTheBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		public, outputs := bucket(t)
		c := coordinatortest.NewInBucket(t, 3, &coordinator.Bucket{Public: public, Outputs: outputs})
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		s := spec(t, 4, 2)
		s.Limits.Output = 1 << 20
		right, wrong := bytes.Repeat([]byte("right "), 20_000), bytes.Repeat([]byte("wrong "), 20_000)
		says := func(b []byte) func(*task.Task) (task.Exit, map[string]string) {
			return func(*task.Task) (task.Exit, map[string]string) { return 0, map[string]string{"stdout": string(b)} }
		}
		id := p.Submit(s)
		hosts := []*coordinatortest.Host{c.NewHost(1, says(right)), c.NewHost(2, says(wrong)), c.NewHost(3, says(right))}
		for range 2 { // two results that differ, and two days before the third
			hosts[0].Contact(4)
			hosts[1].Contact(4)
		}
		later(t, c, time.Hour)
		for range 2 {
			later(t, c, 26*time.Hour)
		}
		wantAt(t, outputs, "a result that waits for another", right, "in place")
		wantAt(t, outputs, "a wrong one that nobody has found out", wrong, "in place")
		if v := work(t, c, id, []*coordinatortest.Host{hosts[0], hosts[2]}, nil); v.State != "done" {
			t.Fatalf("the job is %s", v.State)
		}
		sealed(t, c, id)
		later(t, c, time.Hour)
		for range 2 {
			later(t, c, 26*time.Hour)
		}
		wantAt(t, outputs, "an accepted output", right, "in place")
		wantAt(t, outputs, "a wrong output", wrong, "")
		for i := range uint64(4) {
			if got := c.Get(protocol.OutputPath(id, 0, i, 0)); !bytes.Equal(got, right) {
				t.Errorf("task %d: fetched %d bytes, want %d", i, len(got), len(right))
			}
		}
	})
}
