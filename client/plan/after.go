package plan

import (
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// Bounds on what a coordinator may ask of a machine: a call that brought
// nothing is not repeated at once, and one that says "in a year" is not
// believed.
const (
	minPause  = 50 * time.Millisecond // after a call that brought something
	minIdle   = time.Second           // after one that brought nothing
	maxAbsent = time.Hour
)

// AfterReply is how things stand after an exchange that asked for want attempts
// was answered at now.
func AfterReply(now time.Time, want int, r *protocol.ExchangeReply) Contact {
	after := time.Duration(r.AfterMillis) * time.Millisecond
	next := time.Duration(r.NextMillis) * time.Millisecond
	least := minPause
	if len(r.Attempts) == 0 && len(r.Acks) == 0 {
		least = minIdle
	}
	after = min(max(after, least), maxAbsent)
	next = min(max(next, after, minIdle), maxAbsent)
	return Contact{
		NotBefore: now.Add(after), NotAfter: now.Add(next),
		Unmet: len(r.Attempts) < want, Reason: r.Reason,
	}
}

// AfterRefusal is how things stand after a request was refused at now, for the
// times'th time in a row (from 1): the next call comes later and later.
// advised is what the refusal asked for, trouble what it said.
func AfterRefusal(now time.Time, times int, advised time.Duration, trouble string) Contact {
	pause := minIdle << min(max(times-1, 0), 9) // up to 512 s
	pause = min(max(pause, advised), maxAbsent)
	return Contact{NotBefore: now.Add(pause), NotAfter: now.Add(pause), Trouble: trouble}
}
