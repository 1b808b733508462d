package wasi

import "math"

// The sizes and kinds of what poll_oneoff reads and writes.
const (
	subscriptionSize = 48
	eventSize        = 32
	pollClock        = 0
	pollRead         = 1
	pollWrite        = 2
)

// subscription is one thing that a program waits for.
type subscription struct {
	user uint64
	kind byte
	err  Errno
	due  uint64 // of a clock: when
}

// pollOneoff(subscriptions, events, n, count *u32)
//
// Nothing here ever blocks: files and streams are ready at once, and where a
// program waits for time alone, the clock goes forward to the first moment
// that it waits for.
func (s *System) pollOneoff(c call) error {
	n := uint64(c.u32(2))
	if n == 0 {
		return errInvalid
	}
	in, err := c.window(c.u32(0), n*subscriptionSize)
	if err != nil {
		return err
	}
	out, err := c.window(c.u32(1), n*eventSize)
	if err != nil {
		return err
	}
	count, err := c.result(3, 4)
	if err != nil {
		return err
	}
	start := s.clock.now
	first, ready := uint64(math.MaxUint64), false
	for i := range n {
		sub, ok := s.subscription(in[i*subscriptionSize:], start)
		switch {
		case !ok:
			return errInvalid
		case sub.kind == pollClock && sub.err == 0:
			first = min(first, sub.due)
		default:
			ready = true
		}
	}
	if !ready {
		s.clock.forward(first)
	}
	events := uint64(0)
	for i := range n {
		// Subscriptions count from the call's beginning, not from where the
		// clock went meanwhile. Events may lie over subscriptions: what is
		// read here may then be nonsense, the same nonsense everywhere.
		sub, _ := s.subscription(in[i*subscriptionSize:], start)
		if sub.kind == pollClock && sub.err == 0 && sub.due > s.clock.now {
			continue
		}
		w := out[events*eventSize:][:eventSize]
		clear(w)
		put64(w, sub.user)
		put16(w[8:], uint16(sub.err))
		w[10] = sub.kind
		events++
	}
	put32(count, uint32(events))
	return nil
}

// subscription reads one subscription, made at a time. It reports whether its
// kind is known.
func (s *System) subscription(w []byte, now uint64) (subscription, bool) {
	sub := subscription{user: get64(w), kind: w[8]}
	switch sub.kind {
	case pollClock:
		const absolute = 1
		if !knownClock(get32(w[16:])) {
			sub.err = errInvalid
		}
		sub.due = get64(w[24:])
		if get16(w[40:])&absolute == 0 {
			sub.due = after(now, sub.due)
		}
	case pollRead, pollWrite:
		if _, err := s.at(get32(w[16:])); err != nil {
			sub.err = errBadDescriptor
		}
	default:
		return sub, false
	}
	return sub, true
}
