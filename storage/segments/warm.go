package segments

import (
	"errors"
	"io"
)

// warmSegments is how many of the newest segments recovery has in memory while
// it goes on: what is put twice, and what notes speak of, mostly stands close
// together, and asking the system for each header takes longer than all else.
const warmSegments = 2

// warmFile is a segment's file whose bytes are in memory while a store is being
// recovered.
type warmFile struct {
	file
	bytes []byte
}

// warm reads a segment of size bytes into memory. What cannot be read whole is
// left to be read piece by piece, so that the error is about the piece.
func warm(f file, size int64) file {
	bytes := make([]byte, size)
	if n, err := f.ReadAt(bytes, 0); n < len(bytes) || err != nil && !errors.Is(err, io.EOF) {
		return f
	}
	return &warmFile{file: f, bytes: bytes}
}

// ReadAt reads from memory.
func (w *warmFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset >= int64(len(w.bytes)) {
		return 0, io.EOF
	}
	n := copy(p, w.bytes[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Truncate shortens the file, here and on the disk.
func (w *warmFile) Truncate(size int64) error {
	w.bytes = w.bytes[:min(size, int64(len(w.bytes)))]
	return w.file.Truncate(size)
}

// coolDown gives back the memory of all segments but the newest so many.
func (s *Store) coolDown(keep int) {
	for _, g := range s.segments[:max(0, len(s.segments)-keep)] {
		if w, ok := g.file.(*warmFile); ok {
			g.file = w.file
		}
	}
}
