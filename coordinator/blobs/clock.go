package blobs

import (
	"context"
	"net/http"
	"strconv"

	"github.com/sheafgrid/sheaf/task"
)

// Clock is cluster time, as far as this node has heard of it. A node's stores
// keep a blob for a while from the time at which they were last asked for it;
// one that lags behind in the log must not think that this was long ago.
type Clock interface {
	Now() task.Millis
	// Hear tells of a time that a peer knows. Its error is one of the disk.
	Hear(task.Millis) error
}

// headerTime carries the sender's cluster time to peers, in milliseconds.
const headerTime = "Sheaf-Node-Time"

// Option changes what a Store does.
type Option func(*Store)

// WithClock makes a Store tell its clock, and its peers', when it is asked for
// blobs.
func WithClock(c Clock) Option { return func(s *Store) { s.clock = c } }

// WithShared says which blobs, by their size, are in a store that all nodes
// share, and that keeps them safe by itself: putting them there is enough.
func WithShared(shared func(area Area, size int64) bool) Option {
	return func(s *Store) { s.shared = shared }
}

type timeKey struct{}

// stamped notes that blobs are asked for now. Requests to peers made with the
// context that it returns say so, too.
func (s *Store) stamped(ctx context.Context) (context.Context, error) {
	if s.clock == nil {
		return ctx, nil
	}
	now := s.clock.Now()
	return context.WithValue(ctx, timeKey{}, now), s.clock.Hear(now)
}

// stamp copies the time of a request's context into its header.
func stamp(req *http.Request) {
	if now, ok := req.Context().Value(timeKey{}).(task.Millis); ok {
		req.Header.Set(headerTime, strconv.FormatInt(int64(now), 10))
	}
}

// hear takes note of a peer's time. What is no number says nothing.
func (s *Store) hear(r *http.Request) error {
	now, err := strconv.ParseInt(r.Header.Get(headerTime), 10, 64)
	if s.clock == nil || err != nil {
		return nil
	}
	return s.clock.Hear(task.Millis(now))
}
