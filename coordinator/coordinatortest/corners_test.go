package coordinatortest_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// A host that wants more than fits into one reply is given what fits, and loses
// no attempt by it.
func TestWideTasksFitIntoReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 1)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		s := spec(t, 250, 1)
		shared := []byte("read by every task")
		if err := p.Upload(protocol.PathBlobs, shared); err != nil {
			t.Fatal(err)
		}
		s.Args = append(s.Args, strings.Repeat("x", task.MaxArgBytes-1024))
		for i := range task.MaxInputs {
			name := strings.Repeat(string(rune('a'+i%26)), 40) + string(rune('a'+i/26))
			s.Inputs = append(s.Inputs, task.Input{Path: name, Blob: task.Sum(shared), Size: int64(len(shared))})
		}
		id := p.Submit(s)
		done := func(*task.Task) (task.Exit, map[string]string) { return 0, nil }
		h := c.NewHost(1, done)
		h.Facts.Cores = 64
		reply := &protocol.Reply{Exchange: h.Contact(256)}
		if n := len(reply.Encode()); n > protocol.MaxReply || len(reply.Exchange.Attempts) == 0 {
			t.Errorf("%d attempts in a reply of %d bytes", len(reply.Exchange.Attempts), n)
		}
		if v := work(t, c, id, []*coordinatortest.Host{h, c.NewHost(2, done)}, nil); v.State != "done" {
			t.Errorf("the job ended %s", v.State)
		}
	})
}

// After an hour in which nothing happened and the leader died, every node still
// knows the time well: newcomers can open sessions, deadlines are kept.
func TestIdleClusterKnowsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		now := func() task.Millis {
			var v protocol.ClusterView
			c.GetJSON(protocol.PathCluster, &v)
			return v.Time
		}
		began := now()
		time.Sleep(50 * time.Minute)
		c.Kill(c.LeaderNode()) // whatever a leader does now and then begins anew
		time.Sleep(50 * time.Minute)
		for i := range c.Nodes {
			c.Rotate() // another one is asked first
			if passed := time.Duration(now()-began) * time.Millisecond; passed < 80*time.Minute {
				t.Errorf("100 minutes took %v in the cluster", passed)
			}
			c.NewHost(i, honest)
		}
		c.Check()
	})
}

// A large result that comes after its deadline still counts where the task
// waits for one; nobody else may upload for the attempt, and not more than the
// task may leave.
func TestLateLargeResultCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		id := p.Submit(spec(t, 1, 1))
		large := strings.Repeat("large ", 20_000)
		h := c.NewHost(1, func(*task.Task) (task.Exit, map[string]string) {
			return 0, map[string]string{task.OutputDir + "large.txt": large}
		})
		other := c.NewHost(2, honest)
		attempt := h.Contact(1).Attempts[0]
		path := protocol.OutputsPath(attempt.ID)
		if err := other.Upload(path, []byte("not mine")); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("another host uploaded: %v", err)
		}
		if err := h.Upload(path, make([]byte, attempt.Task.Limits.Output+1)); err == nil || !strings.Contains(err.Error(), "413") {
			t.Errorf("more than the task may leave was uploaded: %v", err)
		}
		time.Sleep(2 * time.Minute)
		h.Contact(0)
		if len(h.Acked) != 1 {
			t.Error("a late result was refused although its task waits")
		}
		if v := work(t, c, id, []*coordinatortest.Host{h}, nil); v.State != "done" || v.Levels[0].Failed != 0 {
			t.Errorf("the job ended as %+v", v)
		}
	})
}

// A job that nobody has the memory for says so, instead of waiting in silence.
func TestJobSaysWhatItWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 1)
		defer c.Stop()
		p := c.NewPublisher(1, program(t))
		s := spec(t, 1, 2)
		s.Limits.Memory = 4 << 30
		id := p.Submit(s)
		for i, want := range []string{"No volunteer has joined", "only 1 have joined", "Each task needs 4 GiB of memory", "Each task needs 4 GiB of memory"} {
			if got := c.Job(id).WaitsFor; !strings.Contains(got, want) {
				t.Errorf("with %d hosts it waits for %q, want %q", i, got, want)
			}
			h := c.NewHost(i, honest)
			h.Contact(0)
		}
		for i := 10; i < 12; i++ {
			h := c.NewHost(i, honest)
			h.Facts.Memory = 4 << 30
			h.Contact(0)
		}
		if got := c.Job(id).WaitsFor; !strings.Contains(got, "not all tasks have been handed out") {
			t.Errorf("with two roomy hosts it waits for %q", got)
		}
	})
}

// Whoever comes along with a new key each time, and achieves nothing, leaves
// nothing behind.
func TestStrangersDoNotGrowTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 1)
		defer c.Stop()
		c.NewPublisher(1, program(t))
		size := func() (n int) {
			c.Leader().State(func(s *state.State) {
				f := s.Freeze()
				defer f.Release()
				var b bytes.Buffer
				if _, err := f.Write(&b); err != nil {
					t.Error(err)
				}
				n = b.Len()
			})
			return n
		}
		before := size()
		for i := range 100 {
			p := c.NewParty(5000 + i)
			if r := p.Send(p.Envelope(protocol.PurposeCancel, protocol.Cancel{})); r.Error == nil {
				t.Error("a stranger's request was carried out")
			}
			if r := p.Send(p.Envelope(protocol.PurposeCreateProject, protocol.CreateProject{Name: "project-1"})); r.Error == nil {
				t.Error("a stranger took over a project")
			}
		}
		if after := size(); after > before+100 {
			t.Errorf("the state has grown from %d to %d bytes", before, after)
		}
	})
}

// A node that was just started, and has found no leader yet, does not know the
// time. Whoever opened a session with the time that it says would be refused.
func TestNodeThatKnowsNothingNamesNoCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := coordinatortest.New(t, 3)
		defer c.Stop()
		for _, n := range c.Nodes {
			c.Kill(n)
		}
		c.Start(c.Nodes[1])
		var v protocol.ClusterView
		c.Nodes[0], c.Nodes[1] = c.Nodes[1], c.Nodes[0] // send asks the first one
		status, body := send(t, c, "GET", protocol.PathCluster, nil)
		if err := json.Unmarshal([]byte(body), &v); err != nil || status != 200 {
			t.Fatalf("status %d: %s", status, body)
		}
		if !v.Cluster.IsZero() || v.Time != 0 {
			t.Errorf("it says that it is of cluster %s, at %d ms; want neither", v.Cluster, v.Time)
		}
	})
}
