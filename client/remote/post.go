package remote

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net/http"

	"github.com/sheafgrid/sheaf/protocol"
)

// Post sends a body to a path and returns the answer, of at most limit bytes. The
// key signs the path alone, so the path must name the body. It is for readings
// whose questions do not fit into a path: they change nothing, and are asked
// again, of whichever coordinator answers.
func (r *Remote) Post(ctx context.Context, path string, body []byte, limit int64, key ed25519.PrivateKey) (answer []byte, err error) {
	err = r.try(ctx, func(ctx context.Context, at protocol.Address) error {
		header, err := r.signedHeader(ctx, path, key)
		if err != nil {
			return err
		}
		ctx, dog, stop := watch(ctx, stallTimeout)
		defer stop()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, at.Base+path, bytes.NewReader(body))
		if err != nil {
			return &ownError{err}
		}
		for k, v := range header {
			req.Header[k] = v
		}
		resp, err := r.roundTrip(at, req)
		if err != nil {
			return err
		}
		defer drain(resp.Body)
		if resp.StatusCode != http.StatusOK {
			return refusal(at.Base, resp)
		}
		answer, err = readAllFrom(at.Base, watchedReader{resp.Body, dog, func() error { return context.Cause(ctx) }}, limit)
		return err
	})
	return answer, err
}

// Open opens what is at a path from an offset on, to be read as it comes, and says
// how many bytes there are to the end; the caller closes it. ctx must live as long
// as it is read. What breaks off can be opened again where it did.
func (r *Remote) Open(ctx context.Context, path string, offset int64, key ed25519.PrivateKey) (left int64, body io.ReadCloser, err error) {
	err = r.try(ctx, func(ctx context.Context, at protocol.Address) error {
		header, err := r.signedHeader(ctx, path, key)
		if err != nil {
			return err
		}
		if header == nil {
			header = http.Header{}
		}
		header.Set("Accept-Encoding", "identity")
		if offset > 0 {
			header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		}
		resp, err := r.get(ctx, at, path, header)
		if err != nil {
			return err
		}
		want := http.StatusOK
		if offset > 0 {
			want = http.StatusPartialContent
		}
		if resp.StatusCode != want || resp.ContentLength < 0 {
			defer drain(resp.Body)
			return refusal(at.Base, resp)
		}
		left, body = resp.ContentLength, resp.Body
		return nil
	})
	return left, body, err
}
