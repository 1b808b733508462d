package blobs

import (
	"bytes"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
)

// lent is memory that several read from until the last of them is done with it; then
// it is used again for something else. What somebody forgets to call done for is left
// to the garbage collector.
type lent struct {
	bytes *[]byte
	users atomic.Int64
}

var spare = sync.Pool{New: func() any { return new([]byte) }}

// maxSpare bounds memory that is kept to be used again, in bytes: nearly all that
// travels is smaller.
const maxSpare = 1 << 20

// borrow returns memory in which there is nothing. The caller is its first user.
func borrow() *lent {
	m := &lent{bytes: spare.Get().(*[]byte)}
	*m.bytes = (*m.bytes)[:0]
	m.users.Store(1)
	return m
}

// use is called by a user for another one, who calls done.
func (m *lent) use() { m.users.Add(1) }

func (m *lent) done() {
	if m.users.Add(-1) != 0 {
		return
	}
	if cap(*m.bytes) <= maxSpare {
		spare.Put(m.bytes)
	}
	m.bytes = nil
}

// Write appends. It is for the first user, before there are others.
func (m *lent) Write(b []byte) (int, error) {
	*m.bytes = append(*m.bytes, b...)
	return len(b), nil
}

// readFrom appends what r says, up to limit bytes, which probably are size.
func (m *lent) readFrom(r io.Reader, size, limit int64) error {
	b := bytes.NewBuffer(slices.Grow(*m.bytes, int(min(max(size, 0), limit))+bytes.MinRead))
	_, err := b.ReadFrom(io.LimitReader(r, limit))
	*m.bytes = b.Bytes()
	return err
}

func (m *lent) size() int64 { return int64(len(*m.bytes)) }

// open returns a reader, which uses the memory until it is closed. It is called by a
// user.
func (m *lent) open() *lentReader {
	m.use()
	return &lentReader{lent: m, rest: *m.bytes}
}

// lentReader may be closed while somebody reads from it, as HTTP clients do: where it
// was, there may be something else afterwards.
type lentReader struct {
	lent *lent

	mu     sync.Mutex
	closed bool
	rest   []byte
}

// Read reads on.
func (r *lentReader) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, os.ErrClosed
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// WriteTo writes what is left. Whoever closes meanwhile need not wait.
func (r *lentReader) WriteTo(w io.Writer) (int64, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return 0, os.ErrClosed
	}
	rest := r.rest
	r.rest = nil
	r.lent.use()
	r.mu.Unlock()
	defer r.lent.done()
	n, err := w.Write(rest)
	return int64(n), err
}

// Close ends the use of the memory.
func (r *lentReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed, r.rest = true, nil
		r.lent.done()
	}
	return nil
}
