package wasi

import (
	"math"

	"github.com/sheafgrid/sheaf/task"
)

// maxVectors bounds the pieces of one read or write, as POSIX's IOV_MAX does.
const maxVectors = 1024

// vectors collects the pieces of memory that a read or write names: argument
// i points to n pairs of pointer and length, n being argument i+1. They are
// valid until the next call.
func (s *System) vectors(c call, i int) (pieces [][]byte, total uint64, err error) {
	n := c.u32(i + 1)
	if n > maxVectors {
		return nil, 0, errInvalid
	}
	w, err := c.result(i, 8*int(n))
	if err != nil {
		return nil, 0, err
	}
	// A copy, because a piece may lie over the list itself.
	s.iovecs = append(s.iovecs[:0], w...)
	s.windows = s.windows[:0]
	for v := s.iovecs; len(v) > 0; v = v[8:] {
		piece, err := c.window(get32(v), uint64(get32(v[4:])))
		if err != nil {
			return nil, 0, err
		}
		total += uint64(len(piece))
		s.windows = append(s.windows, piece)
	}
	if total > math.MaxInt32 {
		return nil, 0, errInvalid // what a size that a program can hold cannot say
	}
	return s.windows, total, nil
}

// fdRead(fd, iovs, iovsN, count *u32)
func (s *System) fdRead(c call) error {
	d, err := s.at(c.u32(0))
	if err != nil {
		return err
	}
	n, err := s.read(c, d, d.offset, 3)
	d.offset += n
	return err
}

// fdPread(fd, iovs, iovsN, offset u64, count *u32)
func (s *System) fdPread(c call) error {
	d, err := s.fileAt(c.u32(0))
	if err != nil {
		return err
	}
	_, err = s.read(c, d, c.u64(3), 4)
	return err
}

// read fills the vectors of a call from offset on and puts how many bytes it
// read where argument count points.
func (s *System) read(c call, d *descriptor, offset uint64, count int) (uint64, error) {
	switch {
	case d.isFolder():
		return 0, errIsFolder
	case !d.readable:
		return 0, errBadDescriptor
	}
	pieces, _, err := s.vectors(c, 1)
	if err != nil {
		return 0, err
	}
	result, err := c.result(count, 4)
	if err != nil {
		return 0, err
	}
	done := uint64(0)
	if d.body != nil { // standard input has none: it is at its end
		for _, piece := range pieces {
			n := d.body.readAt(piece, after(offset, done))
			done += uint64(n)
			if n < len(piece) {
				break
			}
		}
	}
	put32(result, uint32(done))
	return done, nil
}

// fdWrite(fd, iovs, iovsN, count *u32)
func (s *System) fdWrite(c call) error {
	d, err := s.at(c.u32(0))
	if err != nil {
		return err
	}
	offset := d.offset
	if d.body != nil && (d.stream == streamOut || d.flags&flagAppend != 0) {
		offset = d.body.size
	}
	n, err := s.write(c, d, offset, 3)
	if err == nil && n > 0 {
		d.offset = offset + n
	}
	return err
}

// fdPwrite(fd, iovs, iovsN, offset u64, count *u32)
func (s *System) fdPwrite(c call) error {
	d, err := s.fileAt(c.u32(0))
	if err != nil {
		return err
	}
	_, err = s.write(c, d, c.u64(3), 4)
	return err
}

// write takes the vectors of a call to offset and puts how many bytes it wrote
// where argument count points. It writes all of them or, where that would
// exceed the limit on outputs, stops the program.
func (s *System) write(c call, d *descriptor, offset uint64, count int) (uint64, error) {
	switch {
	case d.isFolder():
		return 0, errIsFolder
	case !d.writable:
		return 0, errBadDescriptor
	}
	pieces, total, err := s.vectors(c, 1)
	if err != nil {
		return 0, err
	}
	result, err := c.result(count, 4)
	if err != nil {
		return 0, err
	}
	if total > 0 {
		if err := s.grow(d.body, after(offset, total)); err != nil {
			return 0, err
		}
	}
	for _, piece := range pieces {
		d.body.writeAt(piece, offset, &s.spare)
		offset += uint64(len(piece))
	}
	put32(result, uint32(total))
	return total, nil
}

// grow accounts for a body that is to reach up to end.
func (s *System) grow(b *body, end uint64) error {
	if end <= b.size {
		return nil
	}
	return s.charge(end - b.size)
}

// fdFilestatSetSize(fd, size u64)
func (s *System) fdFilestatSetSize(c call) error {
	d, err := s.fileAt(c.u32(0))
	if err != nil {
		return err
	}
	if !d.writable {
		return errBadDescriptor
	}
	return s.resize(d.body, c.u64(1))
}

// resize cuts or extends a body and accounts for it.
func (s *System) resize(b *body, size uint64) error {
	if size > task.MaxOutput {
		return stop(task.ExitOutputLimit)
	}
	if err := s.grow(b, size); err != nil {
		return err
	}
	if size < b.size {
		s.used -= b.size - size
	}
	b.resize(size, &s.spare)
	return nil
}

// fdSeek(fd, offset i64, whence, position *u64)
func (s *System) fdSeek(c call) error {
	d, err := s.at(c.u32(0))
	if err != nil {
		return err
	}
	w, err := c.result(3, 8)
	if err != nil {
		return err
	}
	if d.isFolder() { // its listing has cookies instead; only "to the beginning" means something
		if c.u64(1) != 0 || c.u32(2) != 0 {
			return errInvalid
		}
		put64(w, 0)
		return nil
	}
	if d.node == nil {
		return errNotSeekable
	}
	base := uint64(0)
	switch c.u32(2) {
	case 0:
	case 1:
		base = d.offset
	case 2:
		base = d.body.size
	default:
		return errInvalid
	}
	to := int64(base) + int64(c.u64(1)) // base is at most MaxInt64: a sum that wraps is negative
	if to < 0 {
		return errInvalid
	}
	d.offset = uint64(to)
	put64(w, d.offset)
	return nil
}

// fdTell(fd, position *u64)
func (s *System) fdTell(c call) error {
	d, err := s.fileAt(c.u32(0))
	if err != nil {
		return err
	}
	w, err := c.result(1, 8)
	if err != nil {
		return err
	}
	put64(w, d.offset)
	return nil
}
