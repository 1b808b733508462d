package remote

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// When an upload is compressed: not where it is tiny, and only where its
// beginning becomes a tenth smaller.
const (
	sampleSize  = 64 << 10
	minCompress = 1 << 10
)

// malformedTries is how often an upload that "did not arrive whole" is sent
// again: that may be the line, or a mistake of this program.
const malformedTries = 5

// resumeFrom is the size from which on an upload that broke off goes on where it
// stopped, instead of from the beginning.
const resumeFrom = 4 << 20

// settleRate is how fast, at least, a coordinator is expected to store what has
// arrived, in bytes a second.
const settleRate = 8 << 20

// Upload stores a blob under path, which is protocol.PathBlobs or an attempt's OutputsPath,
// signed by key. open gives the plain bytes from the beginning, each time that
// they are sent. Storing a blob again changes nothing, so it is sent until it
// is stored, refused for good, or ctx ends.
func (r *Remote) Upload(ctx context.Context, key ed25519.PrivateKey, path string, blob task.Digest, size int64, open func() (io.ReadCloser, error)) error {
	compress, err := shrinks(size, open)
	if err != nil {
		return fmt.Errorf("upload of %s: %w", blob.Short(), err)
	}
	if r.ClusterID().IsZero() {
		if _, err := r.waitForCluster(ctx); err != nil {
			return err
		}
	}
	header := http.Header{
		protocol.HeaderKey:       {protocol.PublicKey(key).String()},
		protocol.HeaderSignature: {protocol.EncodeSignature(protocol.SignUpload(key, r.ClusterID(), blob))},
		protocol.HeaderSize:      {strconv.FormatInt(size, 10)},
		"Content-Type":           {"application/octet-stream"},
	}
	if compress {
		header.Set("Content-Encoding", "zstd")
	}
	to := func(at protocol.Address) *upload {
		return &upload{remote: r, at: at, url: at.Base + path + blob.String(), header: header, size: size, compress: compress, open: open}
	}
	if begun := furthest(ctx, r.order(), size, to); begun != nil {
		if err := begun.send(ctx); err == nil || ctx.Err() != nil {
			return err
		}
	}
	malformed := 0
	err = r.try(ctx, func(ctx context.Context, at protocol.Address) error {
		err := to(at).send(ctx)
		if protocol.HasCode(err, protocol.CodeMalformed) {
			if malformed++; malformed < malformedTries {
				return unreachable(at.Base, err)
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("upload of %s: %w", blob.Short(), err)
	}
	return nil
}

// askTimeout is how long a coordinator may take to say how much of an upload it
// has, before it is asked in earnest.
const askTimeout = 3 * time.Second

// furthest is the upload to the coordinator that has most of a large blob from
// an earlier try, perhaps of another process; nil if none has any of it.
func furthest(ctx context.Context, addresses []protocol.Address, size int64, to func(at protocol.Address) *upload) (best *upload) {
	if size < resumeFrom || len(addresses) < 2 {
		return nil
	}
	most := int64(0)
	for _, address := range addresses {
		ask, cancel := context.WithTimeout(ctx, askTimeout)
		at, _, err := to(address).where(ask)
		cancel()
		if err == nil && at > most {
			most, best = at, to(address)
		}
	}
	return best
}

// upload is one upload to one coordinator.
type upload struct {
	remote   *Remote
	at       protocol.Address
	url      string
	header   http.Header
	size     int64
	compress bool
	open     func() (io.ReadCloser, error)
}

// send sends a blob: a large one from where the coordinator lacks it, again and
// again while that makes any progress.
func (u *upload) send(ctx context.Context) error {
	if u.size < resumeFrom {
		_, err := u.part(ctx, 0, "")
		return err
	}
	var last error
	tried := false
	for begun := int64(-1); ; {
		at, elsewhere, err := u.where(ctx)
		if err == nil && elsewhere != "" && !tried {
			if tried = true; u.direct(ctx, elsewhere) {
				return nil
			}
		}
		switch {
		case err != nil && last != nil:
			return last // it says more than that nobody answers now
		case err != nil:
			return err
		case at <= begun:
			return last
		}
		begun = at
		var whole bool
		if whole, err = u.part(ctx, at, strconv.FormatInt(at, 10)); whole || final(err) {
			return err
		}
		if err == nil {
			err = fmt.Errorf("%w from %s: a part of an upload is not the whole", ErrMalformed, u.at.Base)
		}
		if last = err; !sleep(ctx, firstPause) {
			return last
		}
	}
}

// where asks from which byte on the coordinator lacks the blob. It may name
// another place to send all of it to.
func (u *upload) where(ctx context.Context) (at int64, elsewhere string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stallTimeout, errStalled)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.url, http.NoBody)
	if err != nil {
		return 0, "", &ownError{err}
	}
	req.Header = u.header.Clone()
	req.Header.Del("Content-Encoding")
	req.Header.Set(protocol.HeaderOffset, protocol.OffsetUnknown)
	req.Header.Set(protocol.HeaderDirect, protocol.DirectWanted)
	resp, err := u.remote.roundTrip(u.at, req)
	if err != nil {
		return 0, "", err
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusAccepted {
		if resp.StatusCode/100 == 2 {
			return 0, "", fmt.Errorf("%w from %s: it does not say where to go on with an upload", ErrMalformed, u.at.Base)
		}
		return 0, "", refusal(u.at.Base, resp)
	}
	at, err = strconv.ParseInt(resp.Header.Get(protocol.HeaderOffset), 10, 64)
	if err != nil || at < 0 || at > u.size {
		return 0, "", fmt.Errorf("%w from %s: an upload of %d bytes should go on at %q", ErrMalformed, u.at.Base, u.size, clip(resp.Header.Get(protocol.HeaderOffset)))
	}
	return at, resp.Header.Get(protocol.HeaderUploadURL), nil
}

// settleTime is how long a coordinator may take to store what has arrived.
func (u *upload) settleTime() time.Duration {
	return settleTimeout + time.Duration(u.size/settleRate)*time.Second
}

// part sends the blob from a byte on, and reports whether all of it is stored.
func (u *upload) part(ctx context.Context, at int64, offset string) (whole bool, err error) {
	content, err := u.open()
	if err != nil {
		return false, &ownError{err}
	}
	defer content.Close()
	if err := skip(content, at); err != nil {
		return false, &ownError{err}
	}
	ctx, dog, stop := watch(ctx, stallTimeout)
	defer stop()
	left := u.size - at
	settle := u.settleTime()
	plain := &plainReader{r: io.LimitReader(content, left), left: left, dog: dog, settle: settle}
	body := io.Reader(plain)
	if u.compress && left > 0 {
		z, end := compressed(plain)
		defer end()
		body = z
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, u.url, io.NopCloser(body))
	if err != nil {
		return false, &ownError{err}
	}
	req.Header = u.header.Clone()
	if req.ContentLength = left; u.compress && left > 0 {
		req.ContentLength = -1
	}
	if left == 0 {
		req.Body = http.NoBody
		req.Header.Del("Content-Encoding")
		dog.reset(settle)
	}
	if offset != "" {
		req.Header.Set(protocol.HeaderOffset, offset)
	}
	resp, err := u.remote.roundTrip(u.at, req)
	if plain.failed != nil {
		return false, &ownError{plain.failed}
	}
	if err != nil {
		return false, err
	}
	defer drain(resp.Body)
	if resp.StatusCode/100 != 2 {
		return false, refusal(u.at.Base, resp)
	}
	return resp.StatusCode != http.StatusAccepted, nil
}

// skip moves a reader on by n bytes.
func skip(r io.Reader, n int64) error {
	if s, ok := r.(io.Seeker); ok && n > 0 {
		_, err := s.Seek(n, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, r, n)
	return err
}

// plainReader reads the caller's bytes. It keeps the caller's error apart from
// the line's, and gives the coordinator time to store them after the last.
type plainReader struct {
	r      io.Reader
	left   int64
	dog    *watchdog
	settle time.Duration // for which the coordinator may be silent after the last byte
	failed error
}

func (p *plainReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.left -= int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		p.failed = err
	case errors.Is(err, io.EOF) && p.left > 0:
		p.failed = fmt.Errorf("its file is %d bytes shorter than it was: %w", p.left, io.ErrUnexpectedEOF)
	}
	if p.failed != nil {
		return n, p.failed
	}
	if p.left == 0 {
		p.dog.reset(p.settle)
	} else if n > 0 {
		p.dog.reset(stallTimeout)
	}
	return n, err
}

// encoder is bounded in memory, here and at the coordinator that decodes.
func encoder(w io.Writer) (*zstd.Encoder, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
}

// compressed compresses what it is read from. end must be called; when it
// returns, the goroutine that compresses is gone.
func compressed(plain io.Reader) (r io.Reader, end func()) {
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		z, err := encoder(pw)
		if err == nil {
			_, err = io.Copy(z, plain)
			err = errors.Join(err, z.Close())
		}
		pw.CloseWithError(err) // nil ends the body
	}()
	return pr, func() {
		_ = pr.Close()
		<-done
	}
}

// shrinks reports whether compressing is worth it, from the beginning.
func shrinks(size int64, open func() (io.ReadCloser, error)) (bool, error) {
	if size < minCompress {
		return false, nil
	}
	content, err := open()
	if err != nil {
		return false, err
	}
	defer content.Close()
	sample := make([]byte, min(size, sampleSize))
	if _, err := io.ReadFull(content, sample); err != nil {
		return false, err
	}
	z, err := encoder(nil)
	if err != nil {
		return false, err
	}
	defer z.Close()
	return len(z.EncodeAll(sample, nil)) < len(sample)*9/10, nil
}
