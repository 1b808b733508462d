package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Runner runs programs. It holds no state: one Runner may run many at a time.
type Runner struct {
	// Command runs this binary again so that it calls ChildMain: the path of
	// the executable, which must be absolute, and its arguments.
	Command []string

	// Engine is what runs the programs. The zero value is the compiler.
	Engine Engine
}

// Run runs one program in a child process and returns its outcome, or one of
// this package's errors. onProgress, where it is not nil, is called when the
// program begins and about once a second, from the goroutine that called Run.
// When ctx ends, or the task's limit on time has passed, the child is killed
// at once. When Run returns, the child is gone.
func (r Runner) Run(ctx context.Context, q Request, onProgress func(Progress)) (Outcome, error) {
	if err := q.check(); err != nil {
		return Outcome{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wall := startWall(time.Duration(q.Limits.Wall)*time.Millisecond, func() { cancel(ErrWallLimit) })
	defer wall.end()
	if ctx.Err() != nil {
		return Outcome{}, fmt.Errorf("sandbox: %w", context.Cause(ctx))
	}
	p, err := startProcess(r.Command)
	if err != nil {
		return Outcome{}, err
	}
	defer p.end()
	defer context.AfterFunc(ctx, p.kill)()

	sent := make(chan error, 1)
	go func() { sent <- send(p, &q, r.Engine) }()
	feeding, endFeed := context.WithCancel(ctx)
	fed, feed := make(chan error, 1), newFeed(&q)
	go func() { fed <- feed.run(feeding, p, wall) }()
	o, err := receiveOutcome(p.replies, &q, feed, onProgress)
	p.end()
	feed.end()
	endFeed()
	inputErr := <-fed
	if !errors.Is(inputErr, ErrInput) {
		select {
		case inputErr = <-sent:
		case <-ctx.Done(): // an input may hang for as long as it likes
		}
	}
	switch {
	case err == nil:
		o.CPU = p.cpu()
		return o, nil
	case ctx.Err() != nil:
		return Outcome{}, fmt.Errorf("sandbox: %w", context.Cause(ctx))
	case errors.Is(inputErr, ErrInput):
		return Outcome{}, inputErr
	case errors.Is(err, errEnded):
		return Outcome{}, fmt.Errorf("%w: %s", ErrChildDied, p.state())
	}
	return Outcome{}, err
}

// send writes the request. An error that is not ErrInput is the child's: it
// has answered, or died, before it had read everything. Either way the child
// is done for when an input fails.
func send(p *process, q *Request, e Engine) error {
	if err := writeFrame(p.requests, frameRequest, encodeRequest(q, e)); err != nil {
		return err
	}
	if _, err := p.requests.Write(q.Module); err != nil {
		return err
	}
	for _, in := range q.Inputs {
		if in.pieced() {
			continue
		}
		content := &inputReader{r: io.NewSectionReader(in.Content, 0, in.Size)}
		n, err := io.Copy(p.requests, content)
		if content.err == nil && err == nil && n < in.Size {
			content.err = io.ErrUnexpectedEOF
		}
		if content.err != nil {
			p.kill()
			return inputError(&in, n, content.err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func inputError(in *InputFile, at int64, err error) error {
	return fmt.Errorf("%w: %q, at byte %d: %w", ErrInput, in.Path, at, err)
}

// inputReader remembers that reading failed, which io.Copy does not tell from
// a failure of writing.
type inputReader struct {
	r   io.Reader
	err error
}

func (i *inputReader) Read(b []byte) (int, error) {
	n, err := i.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		i.err = err
	}
	return n, err
}
