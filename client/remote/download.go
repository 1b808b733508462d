package remote

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// ToTheEnd is the length of a download of which the size is not known.
const ToTheEnd = int64(-1)

// Download writes length bytes of a public blob, from offset on, to w. With
// ToTheEnd it writes what there is: w should bound it. It verifies the number
// of bytes only: the caller knows the digest. A transfer that breaks off goes
// on where it was, perhaps from another coordinator. A blob that nobody has is
// a refusal with protocol.CodeNotFound; an error of w ends it.
func (r *Remote) Download(ctx context.Context, blob task.Digest, offset, length int64, w io.Writer) error {
	return r.Get(ctx, protocol.PathBlobs+blob.String(), offset, length, w, nil)
}

// Get is Download for any path, such as that of a released output. A key signs
// the reading where only its holder may read.
func (r *Remote) Get(ctx context.Context, path string, offset, length int64, w io.Writer, key ed25519.PrivateKey) error {
	if offset < 0 || length < ToTheEnd {
		return fmt.Errorf("download of %s: %d bytes from byte %d cannot be", path, length, offset)
	}
	d := download{remote: r, path: path, key: key, at: offset, left: length, w: w}
	if length == 0 {
		return nil
	}
	for {
		before := d.at
		err := r.try(ctx, d.ask)
		if err == nil || !errors.Is(err, errMoved) || d.at == before {
			return err
		}
	}
}

// errMoved: a transfer broke off after it had moved; the tries begin anew.
var errMoved = errors.New("the transfer broke off")

// download is one download on its way.
type download struct {
	remote *Remote
	path   string
	key    ed25519.PrivateKey
	at     int64 // the next byte
	left   int64 // bytes still wanted; ToTheEnd: all
	w      io.Writer
	begun  bool // something was written

	indirect bool // another server's place for the blob did not answer
}

func (d *download) ask(ctx context.Context, at protocol.Address) error {
	header, err := d.remote.signedHeader(ctx, d.path, d.key)
	if err != nil {
		return err
	}
	ctx, dog, stop := watch(ctx, stallTimeout)
	defer stop()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Accept-Encoding", "identity")
	switch {
	case d.left != ToTheEnd:
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", d.at, d.at+d.left-1))
	case d.at > 0:
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.at))
	}
	if d.key == nil && !d.indirect && strings.HasPrefix(d.path, protocol.PathBlobs) {
		header.Set(protocol.HeaderDirect, protocol.DirectWanted)
	}
	resp, err := d.remote.get(ctx, at, d.path, header)
	if err == nil && resp.StatusCode == http.StatusTemporaryRedirect && header.Get(protocol.HeaderDirect) != "" {
		resp, err = d.follow(ctx, at, resp, header)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := d.accept(at.Base, resp); err != nil {
		return err
	}
	body := watchedReader{resp.Body, dog, func() error { return context.Cause(ctx) }}
	return d.copy(at.Base, body, resp.ContentLength)
}

// accept checks that the answer holds the bytes that were asked for.
func (d *download) accept(base string, resp *http.Response) error {
	switch resp.StatusCode {
	case http.StatusOK:
		if d.at > 0 {
			return fmt.Errorf("%w from %s: the whole of %s came where a part was asked for", ErrMalformed, base, d.path)
		}
	case http.StatusPartialContent:
		// "bytes 5-9/20"; where a coordinator passed the answer on it may be missing.
		text, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
		from, _, _ := strings.Cut(text, "-")
		if n, err := strconv.ParseInt(from, 10, 64); ok && (err != nil || n != d.at) {
			return fmt.Errorf("%w from %s: bytes from %s on where %d was asked for", ErrMalformed, base, clip(from), d.at)
		}
	case http.StatusRequestedRangeNotSatisfiable:
		if d.left == ToTheEnd && d.begun {
			return nil // it broke off behind the last byte
		}
		return &ownError{protocol.Refuse(protocol.CodeInvalid, "%s has no byte %d", d.path, d.at)}
	default:
		return refusal(base, resp)
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return fmt.Errorf("%w from %s: it is encoded with %q", ErrMalformed, base, clip(enc))
	}
	return nil
}

// copy writes what comes, and keeps count.
func (d *download) copy(base string, body io.Reader, announced int64) error {
	if d.left != ToTheEnd {
		body = io.LimitReader(body, d.left)
	}
	began := d.at
	_, err := io.Copy(d, body)
	var own *ownError
	switch {
	case errors.As(err, &own):
		return own
	case err == nil && (d.left == 0 || d.left == ToTheEnd):
		return nil
	case err == nil && announced >= 0 && d.at-began == announced:
		return &ownError{protocol.Refuse(protocol.CodeInvalid, "%s ends at byte %d, %d more were asked for", d.path, d.at, d.left)}
	case err == nil:
		err = io.ErrUnexpectedEOF
	}
	if d.at > began {
		return &ownError{fmt.Errorf("%w: %w", errMoved, unreachable(base, err))}
	}
	return unreachable(base, err)
}

// Write passes bytes on. Its errors are the caller's.
func (d *download) Write(b []byte) (int, error) {
	n, err := d.w.Write(b)
	d.at += int64(n)
	d.begun = d.begun || n > 0
	if d.left != ToTheEnd {
		d.left -= int64(n)
	}
	if err != nil {
		return n, &ownError{err}
	}
	return n, nil
}
