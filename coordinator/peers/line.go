package peers

import (
	"bufio"
	"net"
	"sync"

	"github.com/sheafgrid/sheaf/internal/gate"
)

// Sizes in bytes of what is read at a time, what is gathered at most, and what
// TLS puts into one record.
const (
	readAtOnce   = 64 << 10
	gatherAtMost = 256 << 10
	oneRecord    = 16 << 10
)

// line is the bytes under TLS. TLS cuts a message into records of 16 KiB and
// would pass each to the system alone, which wakes up the peer for each: a
// message's records are gathered and go together.
type line struct {
	net.Conn
	in *bufio.Reader // nil: whoever calls is a stranger, and gets no memory

	mu      sync.Mutex
	gathers bool
	out     []byte
}

func newLine(c net.Conn) *line { return &line{Conn: c} }

// known says that the peer is of the cluster, and not counted among strangers.
// Nobody may be reading or writing.
func (l *line) known() {
	l.Conn = gate.Release(l.Conn)
	l.in = bufio.NewReaderSize(l.Conn, readAtOnce)
}

// NetConn is the connection below.
func (l *line) NetConn() net.Conn { return l.Conn }

// Read reads what has come.
func (l *line) Read(b []byte) (int, error) {
	if l.in == nil {
		return l.Conn.Read(b)
	}
	return l.in.Read(b)
}

// Write passes records on, or gathers them.
func (l *line) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gathers {
		return l.Conn.Write(b)
	}
	l.out = append(l.out, b...)
	if len(l.out) < gatherAtMost {
		return len(b), nil
	}
	return len(b), l.pass()
}

// gather begins a message.
func (l *line) gather() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gathers = true
}

// release passes on what was gathered.
func (l *line) release() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gathers = false
	return l.pass()
}

// pass gives what was gathered to the system; l.mu is held.
func (l *line) pass() error {
	if len(l.out) == 0 {
		return nil
	}
	_, err := l.Conn.Write(l.out)
	l.out = l.out[:0]
	return err
}
