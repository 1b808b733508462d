package loadgen

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// Take makes the hosts hold so many attempts each, and report none: a cluster
// with much live work. A host holds at most protocol.MaxHeld. What is held is
// reported by a later Run or Drain. Nothing else may be running.
func (l *Load) Take(ctx context.Context, each int) error {
	before := l.target
	l.target = 0
	defer func() { l.target = before }()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(takers)
	for i, h := range l.hosts {
		g.Go(func() error {
			defer h.conn.close()
			if err := h.hold(ctx, each); err != nil {
				return fmt.Errorf("simulated host %d: %w", i+1, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// takers is how many hosts take at once: with thousands of them, each asking for
// hundreds of tasks, the last would wait for longer than a host waits.
const takers = 64

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
