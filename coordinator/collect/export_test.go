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
