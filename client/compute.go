package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sheafgrid/sheaf/client/journal"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// start runs an attempt in the sandbox.
func (r *run) start(ctx context.Context, h *held) {
	ctx, h.stop = context.WithCancel(ctx)
	h.stage, h.began, h.gauge = plan.StageRunning, time.Now(), &gauge{}
	r.tell(EventStarted, h, "")
	bundle, gauge := h.bundle, h.gauge
	r.work(func() func() error {
		c := computation{run: r, task: &h.attempt.Task, bundle: bundle, gauge: gauge}
		result, err := c.compute(ctx)
		return func() error { return r.computed(ctx, h, result, c.text, err) }
	})
}

// computation is one task in the sandbox.
type computation struct {
	run    *run
	task   *task.Task
	bundle *bundle
	gauge  *gauge
	pieces []*pieces // its inputs that are read in pieces
	text   string    // how it ended, for people
}

// compute runs the task and makes its report, with large outputs on the disk.
func (c *computation) compute(ctx context.Context) (*journal.Result, error) {
	q, err := c.request()
	if err != nil {
		return nil, err
	}
	s := &spool{outputs: c.run.outputs}
	defer s.discard()
	q.Output = s.next
	o, err := c.run.cfg.Sandbox.Run(ctx, q, c.gauge.set)
	for _, p := range c.pieces {
		p.end()
	}
	if s.failed != nil {
		return nil, s.failed
	}
	if err != nil {
		return nil, err
	}
	if err := o.Outputs.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", sandbox.ErrBadReply, err)
	}
	if !o.Exit.Valid() || len(o.Outputs) != len(s.files) {
		return nil, fmt.Errorf("%w: exit %d with %d outputs, of which %d came", sandbox.ErrBadReply, o.Exit, len(o.Outputs), len(s.files))
	}
	if c.run.cfg.Lie.about(c.task.Sum()) {
		if err := c.run.cfg.Lie.tell(o.Outputs, s); err != nil {
			return nil, err
		}
	}
	if err := s.settle(o.Outputs); err != nil {
		return nil, err
	}
	result := &journal.Result{Report: protocol.Report{
		Task: c.task.Sum(), Exit: o.Exit, Work: o.Work, Outputs: o.Outputs.Encode(), Inline: s.inline(),
	}}
	result.Uploads = onDisk(&result.Report)
	c.text = o.Exit.String()
	if o.Exit.Trap() && o.Diagnostic != "" {
		c.text += "; it said: " + note(o.Diagnostic)
	}
	return result, nil
}

// request is the task as the sandbox takes it.
func (c *computation) request() (sandbox.Request, error) {
	module, err := io.ReadAll(io.NewSectionReader(c.bundle.program, 0, c.bundle.program.size))
	if err != nil {
		return sandbox.Request{}, diskError(err)
	}
	t := c.task
	q := sandbox.Request{Module: module, Meter: t.Meter, Args: t.Args, Limits: t.Limits, Seed: t.Seed}
	for i := range t.Inputs {
		in := &t.Inputs[i]
		file := sandbox.InputFile{Path: in.Path, Size: in.Length, Content: emptyFile{}}
		switch has := c.bundle.inputs[i]; {
		case has.pieces != nil:
			p := &pieces{run: c.run, in: in, list: has.pieces, early: map[int64]*early{}}
			c.pieces = append(c.pieces, p)
			file.Content, file.Piece = nil, p.piece
		case has.whole != nil:
			file.Content = has.whole
		}
		q.Inputs = append(q.Inputs, file)
	}
	return q, nil
}

// emptyFile is a file of no bytes.
type emptyFile struct{}

// ReadAt reads nothing.
func (emptyFile) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }

// computed takes the end of a task.
func (r *run) computed(ctx context.Context, h *held, result *journal.Result, text string, err error) error {
	stopped := ctx.Err() != nil
	h.stop()
	h.stop, h.gauge = nil, nil
	switch {
	case h.stopping && (h.then != plan.Stop || err != nil):
		if result != nil {
			r.outputs.drop(onDisk(&result.Report))
		}
		return r.settle(h, h.then, h.why)
	case err == nil:
		h.stopping = false
		r.counts.Computed++
		r.trouble.computed()
		r.paces.Note(h.attempt.Task.Program, time.Since(h.began))
		return r.finish(h, result, EventComputed, text)
	case stopped:
		h.stage = plan.StageReady
		return nil
	case errors.Is(err, errDisk):
		h.stage = plan.StageReady
		r.inTrouble(err)
		return nil
	case errors.Is(err, sandbox.ErrInput) && retry(h, err):
		h.release()
		h.stage = plan.StageAccepted
		return nil
	}
	return r.fail(h, failureOf(err), err.Error())
}

// failureOf says in a report's terms why the sandbox brought no result.
func failureOf(err error) protocol.Failure {
	switch {
	case errors.Is(err, sandbox.ErrWallLimit):
		return protocol.FailureWall
	case errors.Is(err, sandbox.ErrInput):
		return protocol.FailureInput
	case errors.Is(err, sandbox.ErrBadProgram), errors.Is(err, sandbox.ErrBadRequest):
		return protocol.FailureProgram
	}
	return protocol.FailureEngine
}
