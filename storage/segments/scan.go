package segments

import (
	"bytes"
	"errors"
	"io"
)

// scanner reads a segment from a record on to its end, whatever is damaged.
type scanner struct {
	file   io.ReaderAt
	number uint32
	size   int64 // where the segment ends
	offset int64 // of what comes next

	// suspect is set once a record had to be searched for: what follows may be
	// made up by whoever sent a blob.
	suspect bool

	buf  []byte // what was read
	base int64  // where buf begins
}

// found is a record, or a gap between records.
type found struct {
	offset int64
	size   int64 // to the next record
	header recordHeader
	body   []byte // until the next call of next; shorter than the header says at the end of a file that was cut

	gap     bool // no record
	damaged bool // the body does not fit the header
	mended  bool // a bit of the header had flipped
}

const readAhead = 1 << 20

func newScanner(f io.ReaderAt, number uint32, size int64) *scanner {
	return &scanner{file: f, number: number, size: size, offset: segmentHeaderSize}
}

// next returns what follows, and io.EOF at the end. Any other error is the
// disk's.
func (s *scanner) next() (found, error) {
	if s.offset >= s.size {
		return found{}, io.EOF
	}
	b, err := s.read(s.offset, recordHeaderSize+maxBody)
	if err != nil {
		return found{}, err
	}
	f, ok := s.record(b, s.offset)
	if !ok {
		if f, err = s.search(); err != nil {
			return found{}, err
		}
	}
	s.offset += f.size
	return f, nil
}

// record looks at the front of b, the bytes from offset on, for a record.
func (s *scanner) record(b []byte, offset int64) (found, bool) {
	f := found{offset: offset}
	at := location{s.number, uint32(offset)}
	h, ok := parseHeader(b, at)
	if !ok && !s.suspect {
		h, ok = mendHeader(b, at)
		f.mended = true
	}
	if !ok {
		return found{}, false
	}
	f.header = h
	f.body = b[recordHeaderSize:min(int64(len(b)), h.size())]
	f.size = recordHeaderSize + int64(len(f.body))
	f.damaged = !h.matches(f.body)
	if (f.mended || s.suspect) && !h.proves(f.body) {
		return found{}, false
	}
	return f, true
}

// search passes over what is no record, up to the next one or the end.
func (s *scanner) search() (found, error) {
	s.suspect = true
	gap := found{offset: s.offset, gap: true}
	for from := s.offset + 1; from < s.size; {
		b, err := s.read(from, recordHeaderSize+maxBody)
		if err != nil {
			return found{}, err
		}
		i := bytes.Index(b, []byte(recordMark))
		switch {
		case i < 0:
			from += int64(max(1, len(b)-len(recordMark)+1))
		case i > 0: // read on from there, so that the whole record is in sight
			from += int64(i)
		default:
			if _, ok := s.record(b, from); ok {
				gap.size = from - gap.offset
				return gap, nil
			}
			from++
		}
	}
	gap.size = s.size - gap.offset
	return gap, nil
}

// read returns the n bytes from offset on, fewer at the end of the segment.
func (s *scanner) read(offset int64, n int) ([]byte, error) {
	end := min(offset+int64(n), s.size)
	if offset < s.base || end > s.base+int64(len(s.buf)) {
		if s.buf == nil {
			s.buf = make([]byte, 0, max(recordHeaderSize+maxBody, min(readAhead, s.size)))
		}
		s.base = offset
		s.buf = s.buf[:min(int64(cap(s.buf)), s.size-offset)]
		k, err := s.file.ReadAt(s.buf, offset)
		if err != nil && !errors.Is(err, io.EOF) {
			s.buf = s.buf[:0]
			return nil, err
		}
		s.buf = s.buf[:k]
		end = min(end, offset+int64(k))
	}
	return s.buf[offset-s.base : end-s.base], nil
}
