package storage

import (
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
)

// BytesBlob is a blob that is in memory. The bytes must not change any more.
func BytesBlob(b []byte) Blob { return &bytesBlob{bytes: b} }

type bytesBlob struct {
	bytes  []byte
	closed atomic.Bool
}

// ReadAt implements io.ReaderAt.
func (b *bytesBlob) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case b.closed.Load():
		return 0, fs.ErrClosed
	case off < 0:
		return 0, fmt.Errorf("read at offset %d: %w", off, fs.ErrInvalid)
	case off >= int64(len(b.bytes)):
		return 0, io.EOF
	}
	n := copy(p, b.bytes[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (b *bytesBlob) Close() error {
	b.closed.Store(true)
	return nil
}

// Size implements Blob.
func (b *bytesBlob) Size() int64 { return int64(len(b.bytes)) }
