package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/sheafgrid/sheaf/protocol"
)

// maxRefusal bounds the body of a refusal, in bytes.
const maxRefusal = 64 << 10

// roundTrip sends one HTTP request. An error is about the connection.
func (r *Remote) roundTrip(at protocol.Address, req *http.Request) (*http.Response, error) {
	resp, err := r.lines.client(at).Do(req)
	if err != nil {
		if cause := context.Cause(req.Context()); cause != nil {
			err = cause // says more than "context canceled"
		}
		var own *ownError
		if errors.As(err, &own) {
			return nil, own
		}
		return nil, unreachable(at.Base, err)
	}
	return resp, nil
}

// readAll reads a body of at most limit bytes.
func readAll(base string, resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("%w from %s: %d bytes, at most %d are taken", ErrMalformed, base, resp.ContentLength, limit)
	}
	return readAllFrom(base, resp.Body, limit)
}

func readAllFrom(base string, r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, unreachable(base, err)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("%w from %s: more than %d bytes", ErrMalformed, base, limit)
	}
	return b, nil
}

// refusal reads why an answer is not what was asked for: what the coordinator
// says, or what its status means where it is none.
func refusal(base string, resp *http.Response) error {
	b, err := readAll(base, resp, maxRefusal)
	if err != nil {
		return err
	}
	switch {
	case mediaType(resp) == protocol.ContentType:
		if reply, err := protocol.DecodeReply(b); err == nil && reply.Error != nil {
			return known(reply.Error)
		}
	case isJSON(resp):
		var e protocol.Error
		if json.Unmarshal(b, &e) == nil && e.Code != protocol.CodeOK && e.Text != "" {
			return known(&e)
		}
	}
	if strings.Contains(string(b), saysHTTPS) {
		return fmt.Errorf("%s %w over plain HTTP: it speaks HTTPS; use the https:// address that it prints at its start", base, ErrNotCoordinator)
	}
	if mediaType(resp) == "text/plain" && resp.StatusCode < 500 && len(b) > 0 {
		return fmt.Errorf("%s %w for clients (%s: %s); check the address and its port", base, ErrNotCoordinator, resp.Status, clip(printable(strings.TrimSpace(string(b)))))
	}
	return foreign(base, resp)
}

// saysHTTPS is what Go's server tells who speaks plain HTTP with it by mistake.
const saysHTTPS = "HTTP request to an HTTPS server"

func mediaType(resp *http.Response) string {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return kind
}

func isJSON(resp *http.Response) bool { return mediaType(resp) == "application/json" }

// known makes a refusal safe to act upon and to show: a code that this version
// does not know is a fault of the coordinator.
func known(e *protocol.Error) *protocol.Error {
	if e.Code > protocol.CodeInternal || e.Code == protocol.CodeOK {
		e.Code = protocol.CodeInternal
	}
	e.Text = clip(printable(e.Text))
	return e
}

// foreign is an answer that no coordinator gives.
func foreign(base string, resp *http.Response) error {
	kind := resp.Header.Get("Content-Type")
	if kind == "" {
		kind = "no content type"
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		return fmt.Errorf("%w at %s (%s); what stands before it answers in its place", ErrUnreachable, base, resp.Status)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fmt.Errorf("%s %w: it says that it has moved to %q; use the coordinator's own address", base, ErrNotCoordinator, clip(resp.Header.Get("Location")))
	}
	return fmt.Errorf("%s %w (%s, %s); check the address and its port", base, ErrNotCoordinator, resp.Status, clip(kind))
}
