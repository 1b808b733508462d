package remote

import (
	"context"
	"crypto/ed25519"
	"io"
	"net/http"
	"strings"

	"github.com/sheafgrid/sheaf/protocol"
)

// maxJSON bounds what GetJSON reads: a page of results lists their files.
const maxJSON = 64 << 20

// GetJSON reads the JSON at a path, which may have a query, into a value. A key
// signs the reading, for what only its holder may see; nil reads as anyone.
func (r *Remote) GetJSON(ctx context.Context, path string, into any, key ed25519.PrivateKey) error {
	plain, _, _ := strings.Cut(path, "?")
	return r.try(ctx, func(ctx context.Context, at protocol.Address) error {
		header, err := r.signedHeader(ctx, plain, key)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		return r.getJSON(ctx, at, path, header, maxJSON, into)
	})
}

// Stream opens what is at a path, to be read as it comes; the caller closes it.
// It has no limits, neither in time nor in bytes, but those of ctx, which must
// live as long as it is read. What breaks off is not taken up again.
func (r *Remote) Stream(ctx context.Context, path string, key ed25519.PrivateKey) (io.ReadCloser, error) {
	plain, _, _ := strings.Cut(path, "?")
	var body io.ReadCloser
	err := r.try(ctx, func(ctx context.Context, at protocol.Address) error {
		header, err := r.signedHeader(ctx, plain, key)
		if err != nil {
			return err
		}
		resp, err := r.get(ctx, at, path, header)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			defer drain(resp.Body)
			return refusal(at.Base, resp)
		}
		body = resp.Body
		return nil
	})
	return body, err
}
