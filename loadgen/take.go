package loadgen

import (
	"context"
	"time"
)

// Take makes the hosts hold so many attempts each, and report none: a cluster
// with much live work. A host holds at most protocol.MaxHeld. What is held is
// reported by a later Run or Drain. Nothing else may be running.
func (l *Load) Take(ctx context.Context, each int) error {
	before := l.target
	l.target = 0
	err := l.all(ctx, func(h *host, ctx context.Context) error { return h.hold(ctx, each) })
	l.target = before
	return err
}

// hold takes tasks until so many are held.
func (h *host) hold(ctx context.Context, n int) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for len(h.held) < n {
		before := len(h.held)
		if err := h.exchange(ctx, min(h.load.cfg.Batch, n-before)); err != nil {
			return err
		}
		if len(h.held) == before && !pause(ctx, nil, timer, idleAfter) {
			return ctx.Err()
		}
	}
	return nil
}
