package sweep

import (
	"context"
	"time"
)

// Sealing a chunk takes as long as many exchanges, and nobody waits for it. Done
// in one go it keeps the processors from the exchanges that come meanwhile: they
// took three times as long, seven times a second at 30,000 tasks/s. So it is done
// in slices with a rest after each.
const (
	slice     = 300 * time.Microsecond
	restAfter = 2 * time.Millisecond
)

// rests are those of one sealing.
type rests struct {
	woke  time.Time // when the slice began
	steps uint8
	hurry bool // further chunks wait: no rest, or they would be more and more
}

// rest rests if the slice is over.
func (r *rests) rest(ctx context.Context) error {
	if r.hurry || time.Since(r.woke) < slice {
		return ctx.Err()
	}
	err := pause(ctx, restAfter)
	r.woke = time.Now()
	return err
}

// step is rest after one of some thousand small steps: it looks at the clock after
// every 16th.
func (r *rests) step(ctx context.Context) error {
	if r.steps++; r.steps%16 != 0 {
		return nil
	}
	return r.rest(ctx)
}
