package histories

import (
	"context"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// hedge sends, now and then, a copy of a request through another node at the
// same time. The function that it returns waits for its answer, if there is
// one, and compares it (R2).
func (p *party) hedge(ctx context.Context, e *protocol.Envelope) func(same func(*protocol.Reply) bool) {
	if p.rnd.IntN(4) != 0 {
		return func(func(*protocol.Reply) bool) {}
	}
	node := p.rnd.IntN(p.run.cluster.Nodes())
	wait := time.Duration(p.rnd.Int64N(int64(pause)))
	again := make(chan *protocol.Reply, 1)
	go func() {
		defer close(again)
		time.Sleep(wait)
		short, stop := context.WithTimeout(ctx, longTry)
		defer stop()
		if r, err := p.try(short, e, node); err == nil {
			again <- r
		}
	}()
	return func(same func(*protocol.Reply) bool) {
		if r, ok := <-again; ok {
			p.compare(e, r, same)
		}
	}
}

// repeat sends a request that was answered once more, through any node.
func (p *party) repeat(ctx context.Context, e *protocol.Envelope, same func(*protocol.Reply) bool) {
	short, stop := context.WithTimeout(ctx, longTry)
	defer stop()
	if r, err := p.try(short, e, p.rnd.IntN(p.run.cluster.Nodes())); err == nil {
		p.compare(e, r, same)
	}
}

func (p *party) compare(e *protocol.Envelope, again *protocol.Reply, same func(*protocol.Reply) bool) {
	p.run.copies.Add(1)
	if !same(again) {
		p.run.problem("R2: request %d of %s was answered otherwise when it was sent again: %+v", e.Number, p.public(), describeReply(again))
	}
}

func describeReply(r *protocol.Reply) any {
	switch {
	case r.Error != nil:
		return r.Error
	case r.Done != nil:
		return *r.Done
	}
	return *r.Exchange
}
