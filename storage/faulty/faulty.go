// Package faulty wraps a store of blobs and makes it fail by a script, so that
// tests can see what the users of a store do when a disk does.
//
// A call that no fault is written for goes through to the store below, and a
// fault never changes bytes: it only adds errors, delays, and doubt about what
// was stored. The package starts no goroutine and draws no random number.
package faulty

import (
	"context"
	"io"
	"slices"
	"sync"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Op names a kind of call.
type Op string

// The calls that can fail.
const (
	Put      Op = "put"
	PutBatch Op = "put batch"
	Open     Op = "open"
	ReadAt   Op = "read at" // on any Blob that Open returned
	Has      Op = "has"
	Delete   Op = "delete"
	List     Op = "list"
	Usage    Op = "usage"
)

// Fault is one thing that goes wrong. Faults are looked at in their order; the
// first that fits a call is the one that happens.
type Fault struct {
	Op   Op
	Call int // the k-th call of Op, from 1; 0 means every call

	// Before, if set, runs first; a test blocks in it to make a call slow. Its
	// error, if any, is the call's, and nothing else happens.
	Before func(context.Context) error

	// Err is what the call answers: syscall.EIO, storage.ErrNoSpace, anything.
	// Where it is nil the call goes on as usual after Before.
	Err error

	// After is how far the call gets before Err: for Put bytes of the body, for
	// List blobs, for ReadAt bytes returned beside Err. It is 0 to fail at once.
	After int64

	// Done makes a call do all its work and answer Err nevertheless: the
	// outcome that a caller cannot know.
	Done bool
}

// Store is a store that fails by its script. Make one with New.
type Store struct {
	inner storage.Blobs

	mu     sync.Mutex
	faults []Fault
	calls  map[Op]int
}

var _ storage.Blobs = (*Store)(nil)

// New wraps inner.
func New(inner storage.Blobs, faults ...Fault) *Store {
	return &Store{inner: inner, faults: slices.Clone(faults), calls: map[Op]int{}}
}

// Script replaces what is left of the script and counts calls from 1 again.
// Without faults, everything works from now on.
func (s *Store) Script(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.Clone(faults)
	clear(s.calls)
}

// Calls is how many calls of op there were, failed ones too.
func (s *Store) Calls(op Op) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[op]
}

// enter counts a call and returns the fault that happens to it.
func (s *Store) enter(ctx context.Context, op Op) (Fault, error) {
	s.mu.Lock()
	s.calls[op]++
	k := s.calls[op]
	i := slices.IndexFunc(s.faults, func(f Fault) bool { return f.Op == op && (f.Call == 0 || f.Call == k) })
	var f Fault
	if i >= 0 {
		f = s.faults[i]
	}
	s.mu.Unlock()
	if f.Before != nil {
		if err := f.Before(ctx); err != nil {
			return f, err
		}
	}
	return f, nil
}

// call does a call that has no middle.
func (s *Store) call(ctx context.Context, op Op, do func() error) error {
	f, err := s.enter(ctx, op)
	if err != nil {
		return err
	}
	if f.Err != nil && !f.Done {
		return f.Err
	}
	if err := do(); err != nil {
		return err
	}
	return f.Err
}

// Put implements storage.Blobs.
func (s *Store) Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error {
	f, err := s.enter(ctx, Put)
	if err != nil {
		return err
	}
	if f.Err != nil && !f.Done {
		// The store below sees its source fail and keeps nothing.
		r = io.MultiReader(io.LimitReader(r, f.After), failingReader{f.Err})
		_ = s.inner.Put(ctx, digest, size, r)
		return f.Err
	}
	if err := s.inner.Put(ctx, digest, size, r); err != nil {
		return err
	}
	return f.Err
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// PutBatch implements storage.Blobs.
func (s *Store) PutBatch(ctx context.Context, blobs []storage.Small) error {
	return s.call(ctx, PutBatch, func() error { return s.inner.PutBatch(ctx, blobs) })
}

// Open implements storage.Blobs.
func (s *Store) Open(ctx context.Context, digest task.Digest) (storage.Blob, error) {
	var b storage.Blob
	err := s.call(ctx, Open, func() (err error) {
		b, err = s.inner.Open(ctx, digest)
		return err
	})
	if err != nil {
		if b != nil {
			_ = b.Close()
		}
		return nil, err
	}
	return &blob{Blob: b, store: s}, nil
}

// Has implements storage.Blobs.
func (s *Store) Has(ctx context.Context, digest task.Digest) (have bool, err error) {
	err = s.call(ctx, Has, func() (err error) {
		have, err = s.inner.Has(ctx, digest)
		return err
	})
	return have && err == nil, err
}

// Delete implements storage.Blobs.
func (s *Store) Delete(ctx context.Context, digest task.Digest) error {
	return s.call(ctx, Delete, func() error { return s.inner.Delete(ctx, digest) })
}

// List implements storage.Blobs.
func (s *Store) List(ctx context.Context, fn func(task.Digest, int64) error) error {
	f, err := s.enter(ctx, List)
	if err != nil {
		return err
	}
	listed := int64(0)
	err = s.inner.List(ctx, func(d task.Digest, size int64) error {
		if f.Err != nil && !f.Done && listed == f.After {
			return f.Err
		}
		listed++
		return fn(d, size)
	})
	if err != nil {
		return err
	}
	return f.Err
}

// Usage implements storage.Blobs.
func (s *Store) Usage(ctx context.Context) (u storage.Usage, err error) {
	err = s.call(ctx, Usage, func() (err error) {
		u, err = s.inner.Usage(ctx)
		return err
	})
	return u, err
}

// blob is a blob whose reads fail by the script.
type blob struct {
	storage.Blob
	store *Store
}

// ReadAt implements io.ReaderAt. A fault's Before gets a context of its own:
// ReadAt has none.
func (b *blob) ReadAt(p []byte, off int64) (int, error) {
	f, err := b.store.enter(context.Background(), ReadAt)
	if err != nil {
		return 0, err
	}
	if f.Err == nil {
		return b.Blob.ReadAt(p, off)
	}
	if !f.Done {
		p = p[:min(int64(len(p)), f.After)]
	}
	n, err := b.Blob.ReadAt(p, off)
	if err != nil {
		return n, err
	}
	return n, f.Err
}
