package coordinatortest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/coordinatortest"
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
			c.Nodes = append(c.Nodes[1:], c.Nodes[0]) // another one is asked first
			if passed := time.Duration(now()-began) * time.Millisecond; passed < 80*time.Minute {
				t.Errorf("100 minutes took %v in the cluster", passed)
			}
			c.NewHost(i, honest)
		}
		c.Check()
	})
}
