package coordinator

import (
	"context"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/httpapi"
	"github.com/sheafgrid/sheaf/internal/metrics"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// reasons are why a host may get fewer tasks than it wants.
var reasons = [...]task.Reason{
	task.ReasonNoJobs, task.ReasonNotAllowed, task.ReasonAllGiven, task.ReasonInFlight, task.ReasonHostFull,
	task.ReasonMemory, task.ReasonStarting, task.ReasonOverloaded,
}

// counts is what this node has answered since it was started. Counting an
// exchange takes a few atomic additions.
type counts struct {
	exchanges  metrics.Durations // answered, refused ones included
	acks       [protocol.AckRefused + 1]metrics.Counter
	attempts   metrics.Counter // handed out
	short      [len(reasons)]metrics.Counter
	refusals   [protocol.CodeInternal + 1]metrics.Counter
	otherCodes metrics.Counter
}

// refused counts a refusal.
func (c *counts) refused(code protocol.Code) {
	if int(code) < len(c.refusals) {
		c.refusals[code].Add(1)
	} else {
		c.otherCodes.Add(1)
	}
}

// exchanged counts the answer to an exchange.
func (c *counts) exchanged(r *protocol.ExchangeReply) {
	var acks [len(c.acks)]uint64
	for _, a := range r.Acks {
		if int(a) < len(acks) {
			acks[a]++
		}
	}
	for a, n := range acks {
		if n > 0 {
			c.acks[a].Add(n)
		}
	}
	if len(r.Attempts) > 0 {
		c.attempts.Add(uint64(len(r.Attempts)))
	}
	if r.Reason == task.ReasonNone {
		return
	}
	for k, reason := range reasons {
		if r.Reason == reason {
			c.short[k].Add(1)
		}
	}
}

// counting counts the exchanges that pass through it.
type counting struct {
	inner  httpapi.Exchanger
	counts *counts
}

// Exchange carries out an exchange.
func (c counting) Exchange(ctx context.Context, e *protocol.Envelope, r *protocol.ExchangeReply) error {
	began := time.Now()
	err := c.inner.Exchange(ctx, e, r)
	c.counts.exchanges.Since(began)
	if err == nil {
		c.counts.exchanged(r)
	}
	return err
}
