package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/client/journal"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/task"
)

// run is one Run of an agent. Only its own goroutine touches it; the others
// send events.
type run struct {
	*Agent
	workers sync.WaitGroup
	events  chan func() error // what happened, to be carried out by Run's goroutine

	queue   []*held // by number
	index   map[task.AttemptID]*held
	contact plan.Contact
	link    link
	trouble trouble
	paces   plan.Paces
	wake    time.Time // when to decide again, where nothing happens before
	counts  Counts
}

func newRun(a *Agent) *run {
	r := &run{Agent: a, events: make(chan func() error), index: map[task.AttemptID]*held{}}
	r.link.restore(a.stored)
	sent := map[task.AttemptID]bool{}
	if a.stored.Request != nil {
		for _, id := range a.stored.Request.Reports {
			sent[id] = true
		}
	}
	now := time.Now()
	for _, j := range a.stored.Held {
		r.add(restored(j, now, sent))
	}
	r.stored = journal.State{}
	return r
}

// loop decides, acts and waits, again and again.
func (r *run) loop(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.resume(ctx)
	var err error
	for done := false; err == nil && !done && ctx.Err() == nil; {
		if done, err = r.step(ctx); !done && err == nil {
			err = r.wait(ctx)
		}
	}
	cancel()
	err = errors.Join(err, r.end())
	if fsutil.IsNoSpace(err) {
		err = fmt.Errorf("%w; free some room on the disk and start again: what was accepted is kept", err)
	}
	return err
}

// step asks the plan what to do, and does it.
func (r *run) step(ctx context.Context) (done bool, err error) {
	now := time.Now()
	rules := r.Rules()
	queue := r.planned()
	d := plan.Decide(now, rules, r.machine(now), queue)
	for _, action := range d.Actions {
		if err := r.act(ctx, rules, action); err != nil {
			return false, err
		}
	}
	reasons := map[task.AttemptID]plan.Reason{}
	for i, a := range queue.Attempts {
		reasons[a.ID] = d.Attempts[i]
	}
	r.publish(rules, d.Reason, reasons)
	r.wake = d.Wake
	return d.Done, nil
}

// planned is the queue as the plan sees it.
func (r *run) planned() plan.Queue {
	q := plan.Queue{Contact: r.contact, Paces: r.paces}
	for _, h := range r.queue {
		q.Attempts = append(q.Attempts, h.planned())
	}
	if text := r.remote.Trouble(); text != "" {
		q.Contact.Trouble = text
	}
	return q
}

// look is how often the run looks up while it waits for an answer: whether
// somebody answers is for its owner to see.
const look = 2 * time.Second

// wait waits for something to happen, or for the time that the plan named.
func (r *run) wait(ctx context.Context) error {
	until := r.wake
	if r.contact.Busy {
		if t := time.Now().Add(look); until.IsZero() || t.Before(until) {
			until = t
		}
	}
	var timer <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
		return nil
	case happened := <-r.events:
		return happened()
	case <-r.changed:
		r.contact.Unmet = false // what was not given under the old rules may be under the new ones
		return nil
	case <-timer:
		return nil
	}
}

// end waits until everything has stopped. What had ended before counts, even
// after an error: a result that can still be recorded is.
func (r *run) end() error {
	ended := make(chan struct{})
	go func() {
		r.workers.Wait()
		close(ended)
	}()
	var err error
	for {
		select {
		case happened := <-r.events:
			if e := happened(); err == nil {
				err = e
			}
		case <-ended:
			for _, h := range r.queue {
				h.release()
			}
			return err
		}
	}
}

// work starts a goroutine. What it returns is carried out by Run's goroutine.
func (r *run) work(fn func() func() error) {
	r.workers.Go(func() { r.events <- fn() })
}

func (r *run) find(id task.AttemptID) *held { return r.index[id] }

// add takes an attempt into the queue.
func (r *run) add(h *held) {
	at, _ := slices.BinarySearchFunc(r.queue, h.attempt.ID, func(k *held, id task.AttemptID) int { return cmp.Compare(k.attempt.ID, id) })
	r.queue = slices.Insert(r.queue, at, h)
	r.index[h.attempt.ID] = h
}

// remove takes an attempt out of the queue; the journal has forgotten it.
func (r *run) remove(h *held) {
	h.release()
	if h.result != nil {
		r.outputs.drop(onDisk(&h.result.Report))
	}
	r.queue = slices.DeleteFunc(r.queue, func(k *held) bool { return k == h })
	delete(r.index, h.attempt.ID)
}

// act does one thing that the plan said.
func (r *run) act(ctx context.Context, rules plan.Rules, action plan.Action) error {
	if action.Kind == plan.Exchange {
		return r.call(ctx, rules, action.Want)
	}
	h := r.find(action.Attempt)
	if h == nil || h.stopping {
		return fmt.Errorf("the plan wants to %s attempt %d, which is not held or is being stopped; please report this", action.Kind, action.Attempt)
	}
	switch action.Kind {
	case plan.Fetch:
		return r.fetch(ctx, h)
	case plan.Start:
		r.start(ctx, h)
		return nil
	case plan.Upload:
		r.upload(ctx, h)
		return nil
	case plan.Stop, plan.Forget, plan.GiveBack:
		if h.busy() {
			h.stopping, h.then, h.why = true, action.Kind, action.Reason.Text
			h.stop()
			return nil
		}
		return r.settle(h, action.Kind, action.Reason.Text)
	}
	return fmt.Errorf("the plan wants to %s; please report this", action.Kind)
}
