package blobs

import (
	"context"
	"io"
	"time"
)

// stallTimeout is how long a copy between two nodes may stand still.
const stallTimeout = time.Minute

// moving is a transfer that may take its time, but not stand still: its context
// ends when nothing has moved for stallTimeout.
type moving struct {
	timer *time.Timer
	stop  context.CancelFunc
}

func newMoving(parent context.Context) (context.Context, *moving) {
	ctx, cancel := context.WithCancel(parent)
	return ctx, &moving{time.AfterFunc(stallTimeout, cancel), cancel}
}

// moved notes that something has come.
func (m *moving) moved() { m.timer.Reset(stallTimeout) }

// end gives back what the transfer took.
func (m *moving) end() {
	m.timer.Stop()
	m.stop()
}

// reader notes what comes through r.
func (m *moving) reader(r io.Reader) io.Reader { return movingReader{r, m} }

type movingReader struct {
	r io.Reader
	m *moving
}

// Read reads what has come.
func (r movingReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.m.moved()
	return n, err
}
