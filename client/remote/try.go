package remote

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// Pauses between rounds in which nobody answered.
const (
	firstPause  = 250 * time.Millisecond
	longestWait = 30 * time.Second
)

// missingRounds is after how many rounds something is taken for missing where
// some coordinators say so and others do not answer.
const missingRounds = 3

// round is what became of asking every coordinator once.
type round struct {
	asked, other, missing int
	advice                time.Duration // the longest pause that somebody asked for
	worst                 error         // the error that says most
	weight                int
	hope                  error // of one that may be the right one, and did not answer
}

func (o *round) add(err error) {
	o.asked++
	weight := 1
	var refusal *protocol.Error
	switch {
	case errors.As(err, &refusal):
		weight = 5
		o.advice = max(o.advice, time.Duration(refusal.RetryMillis)*time.Millisecond)
		if refusal.Code == protocol.CodeNotFound {
			o.missing++
		}
	case errors.Is(err, ErrOtherCluster):
		weight = 4
		o.other++
	case errors.Is(err, errNotReady):
		weight = 3
	case errors.Is(err, ErrNotCoordinator), errors.Is(err, ErrNotTrusted):
		weight = 2
	}
	if weight > o.weight {
		o.worst, o.weight = err, weight
	}
	if !errors.Is(err, ErrOtherCluster) {
		o.hope = err
	}
}

// hopeless reports that everybody answered, and that nobody will ever say more.
func (o *round) hopeless() bool { return o.asked > 0 && o.other+o.missing == o.asked }

// askAll asks each coordinator once, until one answers. done reports that the
// error is nil or final.
func (r *Remote) askAll(ctx context.Context, o *round, ask func(ctx context.Context, at protocol.Address) error) (done bool, err error) {
	for _, at := range r.order() {
		err := ask(ctx, at)
		var refusal *protocol.Error
		if err == nil || errors.As(err, &refusal) {
			r.answered(at)
		}
		switch {
		case err == nil:
			return true, nil
		case final(err), ctx.Err() != nil:
			return true, err
		case refusal == nil:
			r.failedAt(at)
		}
		o.add(err)
	}
	return o.hopeless(), o.worst
}

// try asks coordinators until one answers, one refuses for good, patience ends,
// or ctx does.
func (r *Remote) try(ctx context.Context, ask func(ctx context.Context, at protocol.Address) error) error {
	began, missing := time.Now(), 0
	for n := 0; ; n++ {
		var o round
		done, err := r.askAll(ctx, &o, ask)
		if o.missing > 0 {
			missing++
		}
		switch {
		case err == nil:
			if n > 1 {
				r.cfg.Logger.Info("a coordinator answers again")
			}
			return nil
		case ctx.Err() != nil:
			return r.interrupted(ctx, err)
		case done, missing == missingRounds:
			return err
		}
		pause := r.pause(n, o.advice)
		if r.cfg.Patience > 0 && time.Since(began)+pause > r.cfg.Patience {
			return fmt.Errorf("%w; gave up after %s", err, time.Since(began).Round(time.Second))
		}
		r.noteTrouble(n, err)
		if !sleep(ctx, pause) {
			return r.interrupted(ctx, err)
		}
	}
}

// interrupted is the error of a call whose context ended while it tried.
func (r *Remote) interrupted(ctx context.Context, last error) error {
	if last == nil || errors.Is(last, ctx.Err()) {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w; the last try: %w", context.Cause(ctx), last)
}

func (r *Remote) noteTrouble(n int, err error) {
	r.mu.Lock()
	r.trouble = sentence(err)
	r.mu.Unlock()
	if n == 1 { // the first round is often a leader that changes
		r.cfg.Logger.Warn("no coordinator answers; trying on", "error", err)
	}
}

// sentence makes an error's text one.
func sentence(err error) string {
	text := []rune(err.Error())
	if len(text) > 0 && text[0] >= 'a' && text[0] <= 'z' && !startsWithURL(string(text)) {
		text[0] += 'A' - 'a'
	}
	if n := len(text); n > 0 && text[n-1] != '.' {
		text = append(text, '.')
	}
	return string(text)
}

func startsWithURL(s string) bool { return len(s) > 4 && s[:4] == "http" }

// pause is how long to wait before the next round: longer and longer, between
// half and all of it, and not less than somebody asked for.
func (r *Remote) pause(n int, advice time.Duration) time.Duration {
	d := min(firstPause<<min(n, 10), longestWait)
	r.mu.Lock()
	d = d/2 + time.Duration(r.cfg.Random.Int64N(int64(d/2)+1))
	r.mu.Unlock()
	return max(d, min(advice, 10*longestWait))
}

// sleep waits, and reports whether ctx lived on.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
