package collect

import (
	"context"

	"github.com/sheafgrid/sheaf/task"
)

// Set is set.
type Set = set

// Add is add.
func (s *set) Add(d task.Digest) { s.add(d) }

// Has is has.
func (s *set) Has(d task.Digest) bool { return s.has(d) }

// Collect is collect.
func (s *Store) Collect(ctx context.Context, since task.Millis, live func(task.Digest) bool) (Deleted, error) {
	return s.collect(ctx, since, live)
}

// Ages is ages.
type Ages = ages

// MaxAges is maxAges.
const MaxAges = maxAges

// Begin is begin.
func (a *ages) Begin() { a.begin() }

// Seen is seen.
func (a *ages) Seen(key uint64, now task.Millis) task.Millis { return a.seen(key, now) }

// End is end.
func (a *ages) End(whole bool) { a.end(whole) }
