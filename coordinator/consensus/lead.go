package consensus

import (
	"context"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/planted"
	"github.com/sheafgrid/sheaf/task"
)

// followLeadership runs Config.Lead while this node leads. raft's channel may
// skip a loss that was followed by a gain, so each message only means "look
// again".
func (n *Node) followLeadership(ctx context.Context) error {
	var stop func()
	defer func() {
		if stop != nil {
			stop()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case leads := <-n.raft.LeaderCh():
			if stop != nil {
				stop()
				stop = nil
			}
			if leads {
				stop = n.startLeading(ctx)
			}
		}
	}
}

// startLeading begins a term in the background and returns what ends it.
func (n *Node) startLeading(parent context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(parent)
	var wg sync.WaitGroup
	wg.Go(func() {
		n.lead(ctx)
		n.serving.Store(0)
	})
	return func() {
		n.serving.Store(0)
		cancel()
		wg.Wait()
	}
}

// lead waits until everything that earlier leaders committed is applied here:
// before, this node does not know what was promised.
func (n *Node) lead(ctx context.Context) {
	var term uint64
	for ctx.Err() == nil {
		term = n.raft.CurrentTerm()
		err := n.raft.Barrier(0).Error()
		if err == nil {
			break
		}
		n.cfg.Logger.Warn("the new leader cannot commit yet", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(n.cfg.Timing.Heartbeat / 4):
		}
	}
	if ctx.Err() != nil {
		return
	}
	n.View(func(s *state.State) {
		base := s.Cluster().Now
		if base == 0 { // a new cluster: its time begins at the wall's
			base = task.Millis(time.Now().UnixMilli())
		}
		if planted.Is(planted.LeaderClockAhead) {
			base += 60 * 60 * 1000
		}
		n.clock.set(base, n.cfg.Now())
	})
	n.serving.Store(term)
	n.measures.Terms.Add(1)
	n.cfg.Logger.Info("this node leads", "term", term)
	defer n.cfg.Logger.Info("this node leads no longer")
	if n.cfg.Lead == nil {
		<-ctx.Done()
		return
	}
	if err := n.cfg.Lead(ctx); err != nil && ctx.Err() == nil {
		n.fatal.Fail(err)
	}
}

// clock is cluster time as a leader runs it: on from the last logged value, by
// this machine's monotonic clock (R5). Wall time has no part in it.
type clock struct {
	mu   sync.Mutex
	base task.Millis
	from int64
}

func (c *clock) set(base task.Millis, from int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base, c.from = max(base, c.base), from
}

func (c *clock) now(monotonic int64) task.Millis {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base + task.Millis(max(0, monotonic-c.from))
}

// Now is cluster time by the leader's clock. On a node that does not lead it
// is that of the last applied entry.
func (n *Node) Now() task.Millis {
	var applied task.Millis
	n.View(func(s *state.State) { applied = s.Cluster().Now })
	if n.Serving() {
		return max(applied, n.clock.now(n.cfg.Now()))
	}
	return applied
}
