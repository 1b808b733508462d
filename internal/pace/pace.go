// Package pace spreads background work over time, so that what people wait for
// comes first.
//
// A Pacer is a promise about a rate, not about a moment: Wait returns when the
// bytes so far, at that rate, would have been done. It starts no goroutine.
package pace

import (
	"context"
	"sync"
	"time"
)

// maxDebt is how far ahead or behind of its rate a Pacer may be: after a pause
// it does not catch up with hours.
const maxDebt = time.Second

// Pacer holds work to a rate. It may be shared by goroutines.
type Pacer struct {
	perSecond int64

	mu   sync.Mutex
	next time.Time // when what was asked for so far is done, at the rate
}

// New makes a pacer of so many bytes a second; 0 means without limit.
func New(bytesPerSecond int64) *Pacer { return &Pacer{perSecond: bytesPerSecond} }

// Wait returns when bytes more are welcome, or ctx ends.
func (p *Pacer) Wait(ctx context.Context, bytes int) error {
	if p.perSecond <= 0 {
		return ctx.Err()
	}
	now := time.Now()
	p.mu.Lock()
	if p.next.Before(now.Add(-maxDebt)) {
		p.next = now.Add(-maxDebt)
	}
	p.next = p.next.Add(time.Duration(float64(bytes) / float64(p.perSecond) * float64(time.Second)))
	wait := p.next.Sub(now)
	p.mu.Unlock()
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
