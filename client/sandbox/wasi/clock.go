package wasi

import "math"

// epoch is the time at which every program starts: 2000-01-01T00:00:00Z, in
// nanoseconds since 1970. It is also the time of every file.
const epoch = 946_684_800_000_000_000

// clockStep is how far a reading moves the clock, in nanoseconds.
const clockStep = 1_000

// clock is the time that the program sees. All of WASI's clocks show it.
type clock struct {
	now uint64 // nanoseconds since 1970
}

// read moves the clock by one step and returns it.
func (k *clock) read() uint64 {
	k.forward(after(k.now, clockStep))
	return k.now
}

// forward moves the clock to t, never back.
func (k *clock) forward(t uint64) { k.now = max(k.now, t) }

// after is t+d, or the end of time where that does not fit.
func after(t, d uint64) uint64 {
	if d > math.MaxUint64-t {
		return math.MaxUint64
	}
	return t + d
}

// knownClock: realtime, monotonic, process and thread CPU time.
func knownClock(id uint32) bool { return id <= 3 }

// clockResGet(id, resolution *u64)
func (s *System) clockResGet(c call) error {
	w, err := c.result(1, 8)
	if err != nil {
		return err
	}
	if !knownClock(c.u32(0)) {
		return errInvalid
	}
	put64(w, clockStep)
	return nil
}

// clockTimeGet(id, precision u64, time *u64)
func (s *System) clockTimeGet(c call) error {
	w, err := c.result(2, 8)
	if err != nil {
		return err
	}
	if !knownClock(c.u32(0)) {
		return errInvalid
	}
	put64(w, s.clock.read())
	return nil
}
