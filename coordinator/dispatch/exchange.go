package dispatch

import (
	"context"
	"errors"
	"fmt"

	"github.com/sheafgrid/sheaf/coordinator/schedule"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Exchange carries out a verified exchange and fills in the answer, whose lists
// are made in the room that r has for them. Its error is meant for the host;
// after a temporary one the host repeats the same request.
func (d *Dispatcher) Exchange(ctx context.Context, e *protocol.Envelope, r *protocol.ExchangeReply) error {
	c := d.contacts.Get().(*contact)
	defer func() {
		c.forget()
		d.contacts.Put(c)
	}()
	c.request = state.RequestOf(e)
	if err := e.DecodeAgain(&c.exchange); err != nil {
		return err
	}
	if err := checkLimits(&c.exchange); err != nil {
		return err
	}
	for i := range c.exchange.Reports {
		var back returned
		if r := &c.exchange.Reports[i]; r.Failure == protocol.FailureNone {
			back.list = storage.SmallOf(r.Outputs)
		}
		c.returned = append(c.returned, back)
	}
	repeated, answer, err := d.begin(c)
	if err != nil {
		return err
	}
	if repeated {
		return d.reply(ctx, c, answer, r)
	}
	if err := d.verify(ctx, c); err != nil {
		return err
	}
	if err := d.outputs.PutBatch(ctx, c.outputs); err != nil {
		return storageRefusal(err)
	}
	answer, err = d.propose(ctx, c)
	if err != nil {
		return err
	}
	return d.reply(ctx, c, answer, r)
}

// storageRefusal tells the host what the stores said.
func storageRefusal(err error) error {
	if errors.Is(err, storage.ErrNoSpace) {
		return protocol.Refuse(protocol.CodeNoSpace, "the coordinators have no room for results now; they are kept here and sent later (%v)", err)
	}
	return &protocol.Error{Code: protocol.CodeOverloaded, Text: fmt.Sprintf("results could not be stored: %v", err), RetryMillis: 1000}
}

func checkLimits(x *protocol.Exchange) error {
	switch {
	case len(x.Reports) > protocol.MaxReports:
		return protocol.Refuse(protocol.CodeTooLarge, "%d reports in one exchange, at most %d are allowed", len(x.Reports), protocol.MaxReports)
	case len(x.Held) > protocol.MaxHeld:
		return protocol.Refuse(protocol.CodeTooLarge, "%d attempts held, at most %d are allowed", len(x.Held), protocol.MaxHeld)
	case len(x.Allow) > 1024:
		return protocol.Refuse(protocol.CodeTooLarge, "%d projects allowed by name, at most 1024; allow all of them instead", len(x.Allow))
	}
	return x.Facts.Check()
}

// begin looks up who calls, whether the request was carried out before, what it
// reports on, and which open attempts the host does not hold any more.
func (d *Dispatcher) begin(c *contact) (repeated bool, answer state.Answer, err error) {
	now := d.node.Now()
	d.node.View(func(s *state.State) {
		id, h, ok := s.HostByKey(c.request.Key)
		if !ok {
			err = protocol.Refuse(protocol.CodeUnknownKey, "host %s is not enrolled in this cluster", c.request.Key)
			return
		}
		r, known := s.Precheck(c.request, now)
		if known && r.Answer.Error != nil {
			err = r.Answer.Error
			return
		}
		repeated, answer = known, r.Answer
		c.facts, c.seen = h.Facts, h.Seen
		c.host = schedule.Host{
			ID: id, Account: h.Account, Open: s.OpenCount(id), MayHold: protocol.MayHold(int(c.exchange.Facts.Cores)),
			Memory: c.exchange.Facts.Memory, Allow: c.exchange.Allow, AllowAll: c.exchange.AllowAll,
		}
		c.lost(s, id)
		for i := range c.returned {
			c.returned[i].find(s, id, c.exchange.Reports[i].Attempt)
		}
	})
	return repeated, answer, err
}

// find looks up what an attempt was handed out for.
func (r *returned) find(s *state.State, host task.HostID, id task.AttemptID) {
	a, ok := s.Attempt(id)
	if !ok || a.Host != host || a.State != state.AttemptOpen && a.State != state.AttemptExpired {
		return
	}
	r.task, r.known = assignedAt(s, a.Stage, uint64(a.Index)), true
	s.Attempts(a.Stage, uint64(a.Index), func(_ task.AttemptID, other *state.Attempt) {
		if (other.State == state.AttemptReported || other.State == state.AttemptValid) && other.Output == r.list.Digest {
			r.held = true
		}
	})
}

// lost finds the open attempts that the host neither holds nor reports. The
// answers that handed them out have reached it, since it has sent a later
// request; so they are gone, with its disk perhaps.
func (c *contact) lost(s *state.State, id task.HostID) {
	if s.OpenCount(id) == 0 {
		return
	}
	for _, a := range c.exchange.Held {
		c.has[a] = true
	}
	for i := range c.exchange.Reports {
		c.has[c.exchange.Reports[i].Attempt] = true
	}
	s.OpenOf(id, func(a task.AttemptID, _ *state.Attempt) {
		if !c.has[a] {
			c.dropped = append(c.dropped, a)
		}
	})
}

// propose picks tasks for the host and puts the whole exchange through the log.
func (d *Dispatcher) propose(ctx context.Context, c *contact) (state.Answer, error) {
	picks, overlay := d.pick(c)
	applied := false
	defer func() { d.settle(overlay, picks, applied, c.host) }()
	cmd := &state.Exchange{Request: c.request, Reports: c.reports, Dropped: c.dropped}
	if c.exchange.Facts != c.facts {
		cmd.Facts = &c.exchange.Facts
	}
	var err error
	if cmd.Assign, err = d.makeTasks(ctx, c, picks); err != nil {
		return state.Answer{}, err
	}
	if c.idle(cmd, d.node.Now()) {
		return state.Answer{}, nil
	}
	r, err := d.node.Propose(ctx, cmd)
	if err != nil {
		return state.Answer{}, err
	}
	if r.Answer.Error != nil {
		return state.Answer{}, r.Answer.Error
	}
	applied = len(r.Answer.Attempts) == len(picks)
	return r.Answer, nil
}

// seenEvery is how often a host that has nothing to say is written down as
// alive.
const seenEvery task.Millis = 5 * 60 * 1000

// idle reports whether an exchange has nothing for the log. Such a one is not
// numbered there: repeating it is as harmless as making it.
func (c *contact) idle(cmd *state.Exchange, now task.Millis) bool {
	return cmd.Facts == nil && len(cmd.Reports)+len(cmd.Dropped)+len(cmd.Assign) == 0 && now-c.seen < seenEvery
}

func (d *Dispatcher) pick(c *contact) ([]schedule.Pick, *schedule.Overlay) {
	d.mu.Lock()
	defer d.mu.Unlock()
	want := min(int(c.exchange.Want), protocol.MaxWanted)
	host := c.host
	host.Open = max(0, host.Open-len(c.reports)-len(c.dropped))
	var picks []schedule.Pick
	d.node.View(func(s *state.State) {
		picks, c.reason = schedule.For(view{s}, d.overlay, host, want, d.rnd.Uint64N)
	})
	return picks, d.overlay
}

func (d *Dispatcher) settle(o *schedule.Overlay, picks []schedule.Pick, applied bool, h schedule.Host) {
	if len(picks) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o.Settle(picks, applied, h)
}

// view is the state as the scheduler reads it.
type view struct{ *state.State }

// JobFacts is what a pick must know of a job.
func (v view) JobFacts(n task.JobNumber) schedule.JobFacts {
	j, spec := v.Job(n)
	id := v.CurrentStage(n)
	st := v.Stage(id)
	limits := spec.Limits
	if st.Level > 0 {
		limits = spec.Reduce.Limits
	}
	return schedule.JobFacts{
		Project: j.Project, Running: j.State == state.JobRunning, Waiting: v.WaitingCount(id) > 0, Stage: id,
		Count: st.Count, Cursor: st.Cursor, Open: v.StageOpen(id), Replicate: int(spec.Check.Replicate), Memory: limits.Memory,
	}
}

// Wanted is how many further attempts a touched task wants.
func (v view) Wanted(stage task.StageID, i uint64) int {
	t, ok := v.Task(stage, i)
	if !ok || t.State != state.TaskLive {
		return 0
	}
	return int(t.Want)
}
