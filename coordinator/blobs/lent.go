package blobs

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"sync/atomic"
)

// lent is memory that several use until the last of them is done with it; then it is
// used again for something else.
//
// Who fails with it never says that he is done: an HTTP client may go on reading what
// it failed to send. The memory is left to the garbage collector then. A peer that
// took all has been sent all.
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

// use is called by a user for another one, who calls done. Where nothing is lent (nil)
// neither does anything.
func (m *lent) use() {
	if m != nil {
		m.users.Add(1)
	}
}

// done ends a use, unless it failed.
func (m *lent) done(err error) {
	if m == nil || err != nil || m.users.Add(-1) != 0 {
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

// reader reads from the beginning.
func (m *lent) reader() *bytes.Reader { return bytes.NewReader(*m.bytes) }
