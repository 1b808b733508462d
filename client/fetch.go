package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// bundle is what a task needs to begin, verified and kept in the cache until it
// is closed.
type bundle struct {
	program *cached
	inputs  []input // in the order of the task's ranges
}

// input is a range that a task reads: neither for an empty one.
type input struct {
	whole  *cached
	pieces task.PieceList // of one that is fetched as the program reads it
}

// Close gives the files back.
func (b *bundle) Close() {
	for _, f := range append([]input{{whole: b.program}}, b.inputs...) {
		if f.whole != nil {
			_ = f.whole.Close() // it was only read
		}
	}
}

// fetch gets what an attempt needs, if it may run at all. Nothing becomes ready
// to run without having passed here.
func (r *run) fetch(ctx context.Context, h *held) error {
	err := vet(&h.attempt)
	if err == nil {
		err = r.pin(&h.attempt.Version)
	}
	var no *refusal
	if errors.As(err, &no) {
		return r.fail(h, no.failure, no.text)
	}
	if err != nil {
		return err
	}
	ctx, h.stop = context.WithCancel(ctx)
	h.stage = plan.StageFetching
	r.work(func() func() error {
		b, err := r.gather(ctx, &h.attempt.Task)
		return func() error { return r.fetched(ctx, h, b, err) }
	})
	return nil
}

// pin holds a project to the first key that signed a program of it on this
// machine: a coordinator that changes its mind about who owns a project is
// told so.
func (r *run) pin(v *protocol.Signed) error {
	known, err := r.journal.Pin(v.Project, v.Publisher)
	if err == nil && known != v.Publisher {
		return refuse(protocol.FailureProgram, "project %s was published by %s so far, this program is by %s", v.Project, known, v.Publisher)
	}
	return err
}

// gather gets the program and the inputs of a task: all of the small ones, and
// of those that are read in pieces the list.
func (r *run) gather(ctx context.Context, t *task.Task) (_ *bundle, err error) {
	b := &bundle{}
	defer func() {
		if err != nil {
			b.Close()
		}
	}()
	b.program, err = r.cache.take(ctx, t.Program, sandbox.MaxModule, func(w io.Writer) error {
		return r.remote.Download(ctx, t.Program, 0, remote.ToTheEnd, w)
	})
	if err != nil {
		return nil, fmt.Errorf("program %s: %w", t.Program.Short(), err)
	}
	for i := range t.Inputs {
		in, err := r.gatherInput(ctx, &t.Inputs[i])
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", t.Inputs[i].Path, err)
		}
		b.inputs = append(b.inputs, in)
	}
	return b, nil
}

func (r *run) gatherInput(ctx context.Context, in *task.InputRange) (input, error) {
	switch {
	case !in.Pieces.IsZero():
		list, err := r.pieceList(ctx, in)
		return input{pieces: list}, err
	case in.Length == 0 && in.Digest != task.EmptyDigest:
		return input{}, fmt.Errorf("it is empty, and %w", errMismatch)
	case in.Length == 0:
		return input{}, nil
	}
	f, err := r.cache.take(ctx, in.Digest, in.Length, func(w io.Writer) error {
		return r.remote.Download(ctx, in.Blob, in.Offset, in.Length, w)
	})
	if err == nil && f.size != in.Length {
		_ = f.Close()
		err = fmt.Errorf("it has %d bytes, %d were announced: it %w", f.size, in.Length, errMismatch)
	}
	return input{whole: f}, err
}

// fetched takes the end of a fetch.
func (r *run) fetched(ctx context.Context, h *held, b *bundle, err error) error {
	stopped := ctx.Err() != nil
	h.stop()
	h.stop = nil
	if err == nil {
		// Retries go on counting: a part that is read in pieces may still fail.
		h.bundle, h.retryAt = b, time.Time{}
		if !h.stopping {
			h.stage = plan.StageReady
			return nil
		}
	}
	switch {
	case h.stopping:
		return r.settle(h, h.then, h.why)
	case stopped:
		h.stage = plan.StageAccepted
		return nil
	case errors.Is(err, errDisk):
		h.stage = plan.StageAccepted
		r.inTrouble(err)
		return nil
	}
	if retry(h, err) {
		h.stage = plan.StageAccepted
		return nil
	}
	return r.fail(h, protocol.FailureInput, err.Error())
}

// maxRetries is how often a transfer that failed is tried again.
const maxRetries = 5

// retry puts an attempt off after a transfer that may work later. What is not
// there, or is not what it should be, stays so; who may not upload an output
// may have asked a coordinator that has not heard of the attempt yet.
func retry(h *held, err error) bool {
	if h.retries >= maxRetries || errors.Is(err, errMismatch) || protocol.HasCode(err, protocol.CodeNotFound) ||
		protocol.HasCode(err, protocol.CodeInvalid) {
		return false
	}
	h.retryAt = time.Now().Add(time.Second << h.retries)
	h.retries++
	return true
}
