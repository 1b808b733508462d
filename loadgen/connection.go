package loadgen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

const (
	dialTimeout   = 2 * time.Second
	answerTimeout = 10 * time.Second // for a whole request; then it is sent again
	maxHeaderLine = 8 << 10
)

// errHTTP is wrapped by errors about answers that are no HTTP this package
// understands.
var errHTTP = errors.New("not an HTTP answer")

// connection is one HTTP/1.1 connection that stays open. Its zero value is
// closed. It is used by one goroutine.
type connection struct {
	address string
	conn    net.Conn
	unwatch func() bool
	in      *bufio.Reader
	out     []byte
	body    []byte
}

// open connects to an address, unless it is connected to it already. The end
// of ctx ends whatever the connection is at.
func (c *connection) open(ctx context.Context, address string) error {
	if c.conn != nil && c.address == address {
		return nil
	}
	c.close()
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	c.conn, c.address = conn, address
	c.watch(ctx)
	if c.in == nil {
		c.in = bufio.NewReaderSize(nil, 64<<10)
	}
	c.in.Reset(conn)
	return nil
}

// watch has the end of ctx end whatever the connection is at, until rest or close.
func (c *connection) watch(ctx context.Context) {
	if conn := c.conn; conn != nil {
		c.unwatch = context.AfterFunc(ctx, func() { _ = conn.Close() }) // wakes up whoever reads
	}
}

// rest keeps the connection for another watch, unless the end of ctx has closed it.
func (c *connection) rest() {
	if c.conn != nil && !c.unwatch() {
		c.close()
	}
}

func (c *connection) close() {
	if c.conn == nil {
		return
	}
	c.unwatch()
	_ = c.conn.Close() // nothing is kept that could be lost
	c.conn = nil
}

// post sends a body to protocol.PathRequests and returns that of the answer,
// which is good until the next call. After an error the connection is closed.
func (c *connection) post(body []byte) (answer []byte, err error) {
	if answer, err = c.exchange(body); err != nil {
		c.close()
	}
	return answer, err
}

func (c *connection) exchange(body []byte) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	c.out = append(c.out[:0], "POST "+protocol.PathRequests+" HTTP/1.1\r\nHost: "...)
	c.out = append(c.out, c.address...)
	c.out = append(c.out, "\r\nContent-Type: "+protocol.ContentType+"\r\nContent-Length: "...)
	c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
	c.out = append(append(c.out, "\r\n\r\n"...), body...)
	if _, err := c.conn.Write(c.out); err != nil {
		return nil, err
	}
	return c.answer()
}

// answer reads one answer. Its status is not looked at: the Reply inside says
// more.
func (c *connection) answer() ([]byte, error) {
	line, err := c.line()
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return nil, fmt.Errorf("%w: it begins with %q", errHTTP, line)
	}
	size, chunked := -1, false
	for {
		if line, err = c.line(); err != nil {
			return nil, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case len(line) == 0:
			return c.content(size, chunked)
		case bytes.EqualFold(name, []byte("Content-Length")):
			if size, err = strconv.Atoi(string(value)); err != nil || size < 0 {
				return nil, fmt.Errorf("%w: a length of %q", errHTTP, value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
}

// content reads the body behind the headers.
func (c *connection) content(size int, chunked bool) ([]byte, error) {
	c.body = c.body[:0]
	if !chunked {
		if size < 0 {
			return nil, fmt.Errorf("%w: it does not say how long it is", errHTTP)
		}
		err := c.read(size)
		return c.body, err
	}
	for {
		line, err := c.line()
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(string(line), 16, 31)
		if err != nil {
			return nil, fmt.Errorf("%w: a chunk of %q bytes", errHTTP, line)
		}
		if err := c.read(int(n)); err != nil {
			return nil, err
		}
		if line, err = c.line(); err != nil {
			return nil, err
		}
		if len(line) > 0 {
			return nil, fmt.Errorf("%w: %q behind a chunk", errHTTP, line)
		}
		if n == 0 {
			return c.body, nil
		}
	}
}

// read appends n bytes to the body.
func (c *connection) read(n int) error {
	was := len(c.body)
	if n > protocol.MaxReply+1<<10-was {
		return fmt.Errorf("%w: more than %d bytes", errHTTP, protocol.MaxReply)
	}
	if cap(c.body) < was+n {
		c.body = append(make([]byte, 0, was+n+was/2), c.body...)
	}
	c.body = c.body[:was+n]
	_, err := io.ReadFull(c.in, c.body[was:])
	return err
}

// line reads a line without its end; it is good until the next read.
func (c *connection) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	switch {
	case err != nil && !errors.Is(err, bufio.ErrBufferFull):
		return nil, err
	case err != nil || len(line) > maxHeaderLine:
		return nil, fmt.Errorf("%w: a line of more than %d bytes", errHTTP, maxHeaderLine)
	}
	return bytes.TrimRight(line, "\r\n"), nil
}
