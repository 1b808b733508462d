package storage

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/sheafgrid/sheaf/task"
)

// Body takes a blob from its sender on behalf of a store, and checks it on the
// way: the store calls Next until it answers io.EOF, and may keep what it got
// only then.
type Body struct {
	digest task.Digest
	size   int64
	read   int64
	r      io.Reader
	sum    hash.Hash
}

// NewBody takes size bytes with the given digest from r.
func NewBody(digest task.Digest, size int64, r io.Reader) *Body {
	return &Body{digest: digest, size: size, r: r, sum: sha256.New()}
}

// Next fills buf with the bytes that follow, and returns the part it filled:
// all of buf but at the end of the blob. After the last byte it answers io.EOF
// if, and only if, r ended too and the digest is right; no other error of it
// wraps io.EOF. Its other errors are
// ErrMismatch, ErrSource, and ctx's. buf must not be empty.
func (b *Body) Next(ctx context.Context, buf []byte) ([]byte, error) {
	left := b.size - b.read
	if left == 0 {
		return nil, b.finish(ctx)
	}
	buf = buf[:min(int64(len(buf)), left)]
	for n := 0; n < len(buf); {
		k, err := b.some(ctx, buf[n:])
		n += k
		b.read += int64(k)
		switch {
		case n == len(buf): // an error that came with the last bytes comes again, if it matters
		case err == io.EOF:
			return nil, fmt.Errorf("blob %s: %d bytes came, %d were announced: %w", b.digest, b.read, b.size, ErrMismatch)
		case err != nil:
			return nil, err
		}
	}
	b.sum.Write(buf)
	return buf, nil
}

// finish makes sure that nothing follows, and compares digests.
func (b *Body) finish(ctx context.Context) error {
	var more [1]byte
	n, err := b.some(ctx, more[:])
	switch {
	case n > 0:
		return fmt.Errorf("blob %s: more than the %d bytes that were announced: %w", b.digest, b.size, ErrMismatch)
	case err != io.EOF:
		return err
	}
	if got := task.Digest(b.sum.Sum(nil)); got != b.digest {
		return fmt.Errorf("blob %s: the %d bytes that came have digest %s: %w", b.digest, b.size, got, ErrMismatch)
	}
	return io.EOF
}

// maxEmptyReads is how often a reader may answer with neither bytes nor an
// error before it counts as broken.
const maxEmptyReads = 100

// some reads at least one byte or reports why not: io.EOF bare, everything
// else wrapped.
func (b *Body) some(ctx context.Context, buf []byte) (int, error) {
	for range maxEmptyReads {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("blob %s: %w", b.digest, err)
		}
		n, err := b.r.Read(buf)
		switch {
		case n < 0 || n > len(buf):
			return 0, fmt.Errorf("blob %s: %w: its reader claims %d bytes in a buffer of %d", b.digest, ErrSource, n, len(buf))
		case err == io.EOF:
			return n, io.EOF
		case errors.Is(err, io.EOF): // io.Reader's end is bare: a wrapped one is a failure, and must not pass for the end
			return n, fmt.Errorf("blob %s: %w after %d bytes: %v", b.digest, ErrSource, b.read+int64(n), err)
		case err != nil:
			return n, fmt.Errorf("blob %s: %w after %d bytes: %w", b.digest, ErrSource, b.read+int64(n), err)
		case n > 0:
			return n, nil
		}
	}
	return 0, fmt.Errorf("blob %s: %w after %d bytes: %w", b.digest, ErrSource, b.read, io.ErrNoProgress)
}
