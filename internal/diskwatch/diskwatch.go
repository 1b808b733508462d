// Package diskwatch notices a disk that fails or hangs, so that its process can
// end: it must not go on as if what it takes were kept. A supervisor starts it
// again, and its peers have the data.
//
// Whoever writes says so with Begin, and End when the write has come back. The
// first error that is set counts, for ever: an fsync that failed once may seem
// to succeed when it is tried again, and the bytes be lost all the same.
//
// It starts no goroutine; Run, on its caller's, looks once a second.
package diskwatch

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Hangs is how long one write may take before the disk counts as broken.
const Hangs = 10 * time.Second

// Watch knows of the writes that are under way.
type Watch struct {
	mu    sync.Mutex
	first error
	done  chan struct{}
	begun map[*Write]struct{}
}

// New watches nothing yet.
func New() *Watch { return &Watch{done: make(chan struct{}), begun: map[*Write]struct{}{}} }

// Write is one write that is under way.
type Write struct {
	watch *Watch
	what  string
	path  string

	since time.Time // guarded by watch.mu; zero while it waits for something else than the disk
}

// Begin notes that something is being written to a path. End must follow.
func (w *Watch) Begin(what, path string) *Write {
	op := &Write{watch: w, what: what, path: path, since: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun[op] = struct{}{}
	return op
}

// End notes that the write has come back.
func (o *Write) End() {
	o.watch.mu.Lock()
	defer o.watch.mu.Unlock()
	delete(o.watch.begun, o)
}

// Elsewhere runs what belongs to a write and waits for something else than the
// disk, such as a sender. Its time does not count.
func (o *Write) Elsewhere(fn func()) {
	o.set(time.Time{})
	fn()
	o.set(time.Now())
}

func (o *Write) set(since time.Time) {
	o.watch.mu.Lock()
	defer o.watch.mu.Unlock()
	o.since = since
}

// Hung is an error about a write that has been under way for too long, which
// says what it writes and where; or nil.
func (w *Watch) Hung(now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for o := range w.begun {
		if d := now.Sub(o.since); !o.since.IsZero() && d > Hangs {
			return fmt.Errorf("writing %s in %s has not come back for %s: the disk hangs; see to the disk, then start the node again", o.what, o.path, d.Round(time.Second))
		}
	}
	return nil
}

// Fail sets the error that ends the process, unless there is one, and returns
// the one that counts.
func (w *Watch) Fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == nil {
		w.first = err
		close(w.done)
	}
	return w.first
}

// Err is the error that was set, or nil.
func (w *Watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.first
}

// Failed is closed when an error has been set.
func (w *Watch) Failed() <-chan struct{} { return w.done }

// Run returns the first error that is set, and sets one when a write hangs. It
// returns nil when ctx ends before.
func (w *Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.done:
			return w.Err()
		case now := <-tick.C:
			if err := w.Hung(now); err != nil {
				return w.Fail(err)
			}
		}
	}
}
