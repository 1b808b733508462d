package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// requestTimeout is how long a signed request may take to arrive.
const requestTimeout = 30 * time.Second

// maxSnapshots is how many snapshots are sent at the same time: while one is, the
// pages of the state that change are there twice.
const maxSnapshots = 2

// stallTimeout is how long an upload may stand still, or the sending of a
// snapshot.
const stallTimeout = 30 * time.Second

// readBody reads the whole body of a small request, within a limit and a time.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, protocol.Refuse(protocol.CodeTooLarge, "a request of %d bytes, at most %d are allowed", r.ContentLength, limit)
	}
	// Where the connection has no deadlines (in tests) the limit in bytes is left.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTimeout))
	b, err := readAll(http.MaxBytesReader(w, r.Body, limit), r.ContentLength)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, protocol.Refuse(protocol.CodeTooLarge, "a request of more than %d bytes", limit)
	case err != nil:
		return nil, protocol.Refuse(protocol.CodeMalformed, "the request did not arrive whole: %v", err)
	}
	return b, nil
}

// readAll reads a body whose sender says how long it is. Memory is taken as the
// bytes come, not as they are announced.
func readAll(r io.Reader, announced int64) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 0, min(max(announced, 0), 64<<10)+bytes.MinRead))
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

// movingBody is a body that may take its time, but not stand still.
type movingBody struct {
	r io.Reader
	c *http.ResponseController
}

func newMovingBody(w http.ResponseWriter, r io.Reader) io.Reader {
	return &movingBody{r: r, c: http.NewResponseController(w)}
}

// Read reads what has come.
func (b *movingBody) Read(p []byte) (int, error) {
	_ = b.c.SetReadDeadline(time.Now().Add(stallTimeout)) // see readBody
	return b.r.Read(p)
}
