package archive

import (
	"sync"

	"github.com/sheafgrid/sheaf/task"
)

// recent keeps what was read last, by its digest.
type recent[T any] struct {
	mu  sync.Mutex
	all []named[T] // the one used last at the end
}

type named[T any] struct {
	digest task.Digest
	value  *T
}

// get is nil for what is not kept.
func (r *recent[T]) get(digest task.Digest) *T {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, x := range r.all {
		if x.digest == digest {
			r.all = append(append(r.all[:i], r.all[i+1:]...), x)
			return x.value
		}
	}
	return nil
}

func (r *recent[T]) keep(digest task.Digest, value *T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) >= kept {
		r.all = append(r.all[:0], r.all[1:]...)
	}
	r.all = append(r.all, named[T]{digest, value})
}
