package dispatch

import (
	"context"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// How soon a host is asked to come back, in milliseconds, before jitter.
const (
	afterBusy = 100   // no sooner than this, in any case
	nextIdle  = 2_000 // with nothing to say; more in a large fleet
	// A large fleet spreads out: this many idle hosts a second call.
	idleCallsPerSecond = 1_000
)

// reply answers an exchange that was carried out, now or before.
func (d *Dispatcher) reply(ctx context.Context, c *contact, answer state.Answer, r *protocol.ExchangeReply) error {
	*r = protocol.ExchangeReply{
		Acks: r.Acks[:0], Attempts: r.Attempts[:0], Members: r.Members[:0], Cancel: r.Cancel[:0],
		AfterMillis: afterBusy, Reason: c.reason, Time: d.node.Now(), Leader: d.node.Leader(),
	}
	for _, a := range answer.Acks {
		r.Acks = append(r.Acks, protocol.Ack(a))
	}
	next := uint64(nextIdle)
	c.tasks = c.tasks[:0]
	d.node.View(func(s *state.State) {
		s.Members(func(m *state.Member) {
			if !m.Joining { // it has nothing yet that a client could want
				r.Members = append(r.Members, protocol.Member{Node: m.Node, URL: m.URL})
			}
		})
		c.attempts(s, answer.Attempts, r)
		r.Cancel = cancelled(s, c.host.ID, c.exchange.Held, r.Cancel)
		next = max(next, uint64(s.HostCount())*1000/idleCallsPerSecond)
	})
	for i := range r.Attempts {
		w, err := d.taskOf(ctx, &c.tasks[i])
		if err != nil {
			return err
		}
		r.Attempts[i].Task, r.Attempts[i].Sum = w.task, w.sum
	}
	r.NextMillis = d.jitter(next)
	return nil
}

// jitter spreads calls over half to the whole of a time.
func (d *Dispatcher) jitter(millis uint64) uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return uint32(millis/2 + d.rnd.Uint64N(millis/2+1))
}

// attempts adds to a reply what an answer handed out, as far as it is still open.
// The tasks are made later, of c.tasks.
func (c *contact) attempts(s *state.State, ids []task.AttemptID, r *protocol.ExchangeReply) {
	for _, id := range ids {
		a, ok := s.Attempt(id)
		if !ok || a.State != state.AttemptOpen {
			continue
		}
		st := s.Stage(a.Stage)
		j, _ := s.Job(st.Job)
		program := j.Map
		if st.Level > 0 {
			program = j.Reduce
		}
		v, app := s.ProgramVersion(program)
		p := s.Project(app.Project)
		c.tasks = append(c.tasks, assignedAt(s, a.Stage, uint64(a.Index)))
		r.Attempts = append(r.Attempts, protocol.Attempt{
			ID: id, DeadlineMillis: uint64(max(0, a.Deadline-r.Time)),
			Version: protocol.Signed{Project: p.Name, App: app.Name, Publisher: s.Account(p.Owner).Key, Signature: v.Signature},
		})
	}
}

// cancelled adds to out the attempts that a host holds and nobody waits for: the job
// was cancelled, or the attempt is no longer open and would not count if it
// came late.
func cancelled(s *state.State, host task.HostID, held, out []task.AttemptID) []task.AttemptID {
	for _, id := range held {
		a, ok := s.Attempt(id)
		if !ok || a.Host != host || !stillUseful(s, a) {
			out = append(out, id)
		}
	}
	return out
}

func stillUseful(s *state.State, a *state.Attempt) bool {
	j, _ := s.Job(s.Stage(a.Stage).Job)
	if j.State != state.JobRunning {
		return false
	}
	switch a.State {
	case state.AttemptOpen:
		return !s.TaskReleased(a.Stage, uint64(a.Index))
	case state.AttemptExpired:
		t, _ := s.Task(a.Stage, uint64(a.Index))
		return t.State == state.TaskLive && t.Want > 0
	}
	return false
}
