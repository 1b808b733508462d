package segments

import (
	"context"
	"slices"
	"sync"

	"github.com/sheafgrid/sheaf/storage"
)

// maxGroup is how many bytes of records are gathered before they are written
// together, and the most that one request may have.
const maxGroup = 4 << 20

// queue holds what waits to be written. Whoever finds nobody leading leads: it
// writes what waits when its turn comes, its own first. What arrives meanwhile
// goes together with the next write, led by the first that waits.
type queue struct {
	mu      sync.Mutex
	led     bool
	waiting []*request
}

// request is a part of a Put.
type request struct {
	blobs []storage.Small
	bytes int64        // of the records
	ready chan verdict // of one, which is enough: lead is received before the other is sent
}

// verdict ends the waiting of a request: it was written or not, or it leads.
type verdict struct {
	lead bool
	err  error
}

// join adds a request and reports whether it leads.
func (q *queue) join(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, r)
	lead := !q.led
	q.led = true
	return lead
}

// wait returns the verdict of a request that does not lead. When ctx ends and
// nobody has taken the request, it is withdrawn.
func (q *queue) wait(ctx context.Context, r *request) verdict {
	select {
	case v := <-r.ready:
		return v
	case <-ctx.Done():
	}
	q.mu.Lock()
	i := slices.Index(q.waiting, r)
	if i < 0 || len(r.ready) > 0 { // it is being written, or has to lead
		q.mu.Unlock()
		return <-r.ready
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.mu.Unlock()
	return verdict{err: ctx.Err()}
}

// take returns the requests to write now; there is at least the leader's own.
func (q *queue) take() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := 0, int64(0)
	for n < len(q.waiting) && bytes < maxGroup {
		bytes += q.waiting[n].bytes
		n++
	}
	group := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return group
}

// pass lets the next one lead.
func (q *queue) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.led, q.waiting = false, nil
		return
	}
	q.waiting[0].ready <- verdict{lead: true}
}
