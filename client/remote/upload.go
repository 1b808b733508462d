package remote

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

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
	malformed := 0
	err = r.try(ctx, func(ctx context.Context, at protocol.Address) error {
		err := r.uploadTo(ctx, at, path+blob.String(), header, size, compress, open)
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

func (r *Remote) uploadTo(ctx context.Context, at protocol.Address, path string, header http.Header, size int64, compress bool, open func() (io.ReadCloser, error)) error {
	content, err := open()
	if err != nil {
		return &ownError{err}
	}
	defer content.Close()
	ctx, dog, stop := watch(ctx, stallTimeout)
	defer stop()
	plain := &plainReader{r: io.LimitReader(content, size), left: size, dog: dog}
	body := io.Reader(plain)
	if compress {
		z, end := compressed(plain)
		defer end()
		body = z
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at.Base+path, io.NopCloser(body))
	if err != nil {
		return &ownError{err}
	}
	req.Header = header.Clone()
	if req.ContentLength = size; compress {
		req.ContentLength = -1
	}
	if size == 0 {
		req.Body = http.NoBody
	}
	resp, err := r.roundTrip(at, req)
	if plain.failed != nil {
		return &ownError{plain.failed}
	}
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	if resp.StatusCode/100 != 2 {
		return refusal(at.Base, resp)
	}
	return nil
}

// plainReader reads the caller's bytes. It keeps the caller's error apart from
// the line's, and gives the coordinator time to store them after the last.
type plainReader struct {
	r      io.Reader
	left   int64
	dog    *watchdog
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
		p.dog.reset(settleTimeout)
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
