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
	calls uint8
	hurry bool // further chunks wait: no rest, or they would be more and more
}

// rest rests if the slice is over. It is called for each of some thousand small
// steps, and looks at the clock at every 16th.
func (r *rests) rest(ctx context.Context) error {
	if r.calls++; r.calls%16 != 0 {
		return nil
	}
	if r.hurry || time.Since(r.woke) < slice {
		return ctx.Err()
	}
	err := pause(ctx, restAfter)
	r.woke = time.Now()
	return err
}
