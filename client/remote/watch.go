package remote

import (
	"context"
	"io"
	"time"
)

// Limits in time on transfers, which may take as long as they like but must
// move.
const (
	stallTimeout  = 45 * time.Second
	settleTimeout = 2 * time.Minute // an upload is stored on a majority before it is answered
)

// watchdog ends a context when nobody has reset it for a while.
type watchdog struct {
	timer *time.Timer
	limit time.Duration
}

// watch returns a context that ends with errStalled unless the watchdog is
// reset often enough; stop must be called.
func watch(ctx context.Context, limit time.Duration) (_ context.Context, w *watchdog, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w = &watchdog{time.AfterFunc(limit, func() { cancel(errStalled) }), limit}
	return ctx, w, func() {
		w.timer.Stop()
		cancel(nil)
	}
}

func (w *watchdog) reset(limit time.Duration) { w.timer.Reset(limit) }

// watchedReader resets a watchdog whenever it is read from, and says why
// reading failed: cause is that of the watchdog's context.
type watchedReader struct {
	r     io.Reader
	dog   *watchdog
	cause func() error
}

func (r watchedReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if n > 0 {
		r.dog.reset(r.dog.limit)
	}
	if cause := r.cause(); cause != nil && err != nil && err != io.EOF {
		err = cause
	}
	return n, err
}
