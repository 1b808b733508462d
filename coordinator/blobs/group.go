package blobs

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/storage"
)

// maxGroup bounds what goes to the disks and to the peers together, in bytes.
const maxGroup = maxBatch / 2

// apart is how long after the last round the next one begins, at the soonest: for
// fewer, larger ones. What comes to an idle node does not wait.
const apart = 4 * time.Millisecond

// groups joins batches that come at the same time: while one is on its way to
// the disks of a majority, the others wait, and then go together. Each of them
// alone would cost an fsync and a message on every node.
type groups struct {
	put func(context.Context, []storage.Small) error // keeps nothing of the blobs

	mu      sync.Mutex
	waiting []*joined
	running bool

	// Used by the round that runs.
	recent recent
	room   []storage.Small // where take puts together what has to be stored
	bytes  []byte          // their contents
	last   time.Time       // when it began
}

// joined is one caller's batch.
type joined struct {
	blobs []storage.Small
	bytes int
	done  chan error
}

// join stores a batch with whatever else comes. Nobody uses the bytes when it has
// returned. background runs a function on a goroutine that the owner waits for.
func (g *groups) join(ctx context.Context, blobs []storage.Small, background func(func())) error {
	// What one caller got wrong must not be the others' failure.
	if err := storage.CheckBatch(blobs, storage.MaxSmallSize); err != nil {
		return err
	}
	j := &joined{blobs: blobs, done: make(chan error, 1)}
	for i := range blobs {
		j.bytes += len(blobs[i].Bytes) + blobOverhead
	}
	g.mu.Lock()
	g.waiting = append(g.waiting, j)
	lead := !g.running
	g.running = true
	g.mu.Unlock()
	if lead {
		// What goes together is not for this caller alone: his going away must not stop it.
		g.round(context.WithoutCancel(ctx), background)
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		j.blobs = own(blobs) // they may still wait
		return fmt.Errorf("%d blobs: %w: %w", len(blobs), ErrNoMajority, ctx.Err())
	}
}

// round stores what waits, and sees to it that what came meanwhile is stored
// next: by another goroutine, since this one's caller has its answer.
func (g *groups) round(ctx context.Context, background func(func())) {
	if wait := apart - time.Since(g.last); wait > 0 {
		time.Sleep(wait)
	}
	group, all := g.take()
	if len(group) == 0 {
		return
	}
	g.last = time.Now()
	err := g.put(ctx, all)
	if err != nil {
		g.recent.forget()
	}
	g.clear(err)
	for _, j := range group {
		j.done <- err
	}
	background(func() { g.round(ctx, background) })
}

// take removes what goes together, and notes when nothing waits. all is what of it
// has to be stored: a copy, since a caller who goes away takes his bytes with him.
func (g *groups) take() (group []*joined, all []storage.Small) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, size := 0, 0
	for n < len(g.waiting) && (n == 0 || size+g.waiting[n].bytes <= maxGroup) {
		size += g.waiting[n].bytes
		n++
	}
	group, g.waiting = g.waiting[:n:n], g.waiting[n:]
	g.running = n > 0
	g.room = g.recent.without(group, g.room[:0])
	g.bytes = gather(g.room, g.bytes[:0])
	return group, g.room
}

// clear gives up what the last round was about, and memory that was for once so large,
// or that a bucket's client may still be reading after an error.
func (g *groups) clear(err error) {
	clear(g.room)
	if err != nil || cap(g.bytes) > maxSpare {
		g.room, g.bytes = nil, nil
	}
}

// gather copies the contents of blobs behind others, and has the blobs refer to them
// there.
func gather(blobs []storage.Small, bytes []byte) []byte {
	size := 0
	for i := range blobs {
		size += len(blobs[i].Bytes)
	}
	bytes = slices.Grow(bytes, size)
	for i := range blobs {
		start := len(bytes)
		bytes = append(bytes, blobs[i].Bytes...)
		blobs[i].Bytes = bytes[start:len(bytes):len(bytes)]
	}
	return bytes
}

// own copies blobs and their contents.
func own(blobs []storage.Small) []storage.Small {
	owned := slices.Clone(blobs)
	gather(owned, nil)
	return owned
}
