package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// requestTimeout is how long a signed request may take to arrive.
const requestTimeout = 30 * time.Second

// maxSnapshots is how many snapshots are sent at the same time: while one is, the
// pages of the state that change are there twice.
const maxSnapshots = 2

// maxReading is how many submissions are compared with their files at the same
// time: that reads each from end to end.
const maxReading = 4

// stallTimeout is how long an upload may stand still, or the sending of a
// snapshot.
const stallTimeout = 30 * time.Second

// minUploadRate is how many bytes a second an upload must come at, in the long
// run: who sends byte by byte is not let hold a connection for years.
const minUploadRate = 1 << 10

// How many bytes of small requests' bodies may be in memory at a time, beyond
// the first freeBody of each.
const (
	maxBodies = 256 << 20
	freeBody  = 64 << 10
)

// readBody reads the whole body of a small request, within a limit and a time.
// release must be called when it is not needed any more; who knows that nobody has
// kept a part of it may call readAgain, too.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, limit int64) (b []byte, release func(), err error) {
	switch {
	case r.ContentLength < 0: // memory would be taken again and again as it grows
		return nil, func() {}, protocol.Refuse(protocol.CodeMalformed, "a request needs a Content-Length")
	case r.ContentLength > limit:
		return nil, func() {}, protocol.Refuse(protocol.CodeTooLarge, "a request of %d bytes, at most %d are allowed", r.ContentLength, limit)
	}
	// Where the connection has no deadlines (in tests) the limit in bytes is left.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTimeout))
	body := &countedBody{r: r.Body, all: &s.bodies}
	room, ok := s.read.Get().(*[]byte)
	if !ok {
		room = new([]byte)
	}
	b, err = readAll(body, r.ContentLength, *room)
	var busy *protocol.Error
	if err != nil && !errors.As(err, &busy) {
		err = protocol.Refuse(protocol.CodeMalformed, "the request did not arrive whole: %v", err)
	}
	return b, body.release, err
}

// readAgain lets a later body be read where this one is.
func (s *Server) readAgain(body []byte) {
	if cap(body) <= freeBody+bytes.MinRead { // who sends slowly holds no more than he would have taken
		s.read.Put(&body)
	}
}

// countedBody counts the bytes of a body among those of all.
type countedBody struct {
	r    io.Reader
	all  *atomic.Int64
	came int64
}

// Read reads what has come, unless there is too much of all.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	before := b.counted()
	b.came += int64(n)
	if more := b.counted() - before; more > 0 && b.all.Add(more) > maxBodies {
		return n, &protocol.Error{Code: protocol.CodeOverloaded, Text: "too many large requests are on their way; send this one again in a moment", RetryMillis: 1000}
	}
	return n, err
}

func (b *countedBody) counted() int64 { return max(0, b.came-freeBody) }

func (b *countedBody) release() { b.all.Add(-b.counted()) }

// readAll reads a body whose sender says how long it is, into room if it fits
// there. Memory is taken as the bytes come, not as they are announced.
func readAll(r io.Reader, announced int64, room []byte) ([]byte, error) {
	if need := int(min(max(announced, 0), freeBody)) + bytes.MinRead; cap(room) < need {
		room = make([]byte, 0, need)
	}
	b := bytes.NewBuffer(room[:0])
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

// movingBody is a body that may take its time, but not stand still.
type movingBody struct {
	r     io.Reader
	c     *http.ResponseController
	began time.Time
	came  int64
	ended bool
}

func newMovingBody(w http.ResponseWriter, r io.Reader) io.Reader {
	return &movingBody{r: r, c: http.NewResponseController(w), began: time.Now()}
}

// Read reads what has come. Behind the end there is no deadline: net/http reads
// on there, and would take it for the end of the connection and cancel what is
// done with the body.
func (b *movingBody) Read(p []byte) (int, error) {
	if !b.ended {
		_ = b.c.SetReadDeadline(b.latest()) // see readBody
	}
	n, err := b.r.Read(p)
	b.came += int64(n)
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}

// latest is when the next bytes must have come.
func (b *movingBody) latest() time.Time {
	moving := time.Now().Add(stallTimeout)
	if all := b.began.Add(stallTimeout + time.Duration(b.came)*(time.Second/minUploadRate)); all.Before(moving) {
		return all
	}
	return moving
}
