package segments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// firstRead is how much of a record Get reads at once: most records are
// shorter.
const firstRead = 512

// match is the record of a blob that was looked up.
type match struct {
	at      location
	segment *segment // whoever gets a match must leave it
	header  recordHeader
	read    []byte // the front of the record
	blurred bool   // damage hides the header; the index says it is this blob
}

// locate finds the record of a blob of a group. It reads as much of it as fits into buf,
// at least a header. An error is one of the disk, and ok is true with it.
func (s *Store) locate(n name, buf []byte) (m match, ok bool, err error) {
	var room [2]location
	var held [2]*segment
	key := s.index.key(n)
	s.mu.RLock()
	places, segments := s.index.find(room[:0], n.group, key), held[:0]
	for _, at := range places {
		g := s.segment(at.segment)
		g.users.Add(1)
		segments = append(segments, g)
	}
	s.mu.RUnlock()
	for i, at := range places {
		g := segments[i]
		read, readErr := g.file.ReadAt(buf, int64(at.offset))
		h, whole := parseHeader(buf[:read], at)
		if !whole {
			h, whole = mendHeader(buf[:read], at)
		}
		if errors.Is(readErr, io.EOF) || whole && int64(read) >= h.size() {
			readErr = nil // an error behind the record is another's
		}
		switch {
		case ok && !m.blurred, whole && h.name() != n, ok && !whole:
			g.leave()
			continue
		case ok:
			m.segment.leave()
		}
		m = match{at: at, segment: g, header: h, read: buf[:read], blurred: !whole}
		ok, err = true, readErr
	}
	return m, ok, err
}

// locateAnywhere finds a blob whatever it was put under: alone, or in any group.
func (s *Store) locateAnywhere(digest task.Digest, buf []byte) (m match, ok bool, err error) {
	if m, ok, err = s.locate(name{digest: digest}, buf); ok && !m.blurred {
		return m, ok, err
	}
	for _, group := range s.groups() {
		other, found, e := s.locate(name{group, digest}, buf)
		if !found {
			continue
		}
		if ok {
			m.segment.leave()
		}
		if m, ok, err = other, true, e; !m.blurred {
			return m, ok, err
		}
	}
	return m, ok, err
}

// Get returns a blob of limit bytes at most, after comparing it with its
// digest. One that is not there is storage.ErrNotFound, a larger one
// storage.ErrTooLarge, one whose stored form is damaged storage.ErrCorrupt. The
// caller owns the bytes.
func (s *Store) Get(ctx context.Context, digest task.Digest, limit int64) ([]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	m, ok, err := s.locateAnywhere(digest, make([]byte, firstRead))
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", digest, storage.ErrNotFound)
	}
	defer m.segment.leave()
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	if m.blurred {
		return nil, m.corrupt(digest, "its header makes no sense")
	}
	if err := storage.CheckSize(digest, int64(m.header.length), limit); err != nil {
		return nil, err
	}
	body, err := m.body()
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	if got := task.Sum(body); got != digest {
		return nil, m.corrupt(digest, fmt.Sprintf("its %d bytes have digest %s", len(body), got))
	}
	return body, nil
}

// body returns the bytes of a record, fewer where its file ends.
func (m *match) body() ([]byte, error) {
	end := int(m.header.size())
	if end <= len(m.read) {
		return m.read[recordHeaderSize:end:end], nil
	}
	body := make([]byte, m.header.length)
	done := copy(body, m.read[recordHeaderSize:])
	n, err := m.segment.file.ReadAt(body[done:], int64(m.at.offset)+recordHeaderSize+int64(done))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return body[:done+n], nil
}

func (m *match) corrupt(digest task.Digest, why string) error {
	return fmt.Errorf("blob %s: %w: %s at byte %d: %s", digest, storage.ErrCorrupt, segmentName(m.at.segment), m.at.offset, why)
}

// Has reports whether a blob is there. It does not read its bytes, so they may
// still turn out to be damaged.
func (s *Store) Has(ctx context.Context, digest task.Digest) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.calls.Done()
	m, ok, err := s.locateAnywhere(digest, make([]byte, recordHeaderSize))
	if ok {
		m.segment.leave()
	}
	if err != nil {
		return false, fmt.Errorf("blob %s: %w", digest, err)
	}
	return ok, nil
}

// HasIn reports whether a blob is there as one of a group. See Has.
func (s *Store) HasIn(ctx context.Context, group uint64, digest task.Digest) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.calls.Done()
	m, ok, err := s.locate(name{group, digest}, make([]byte, recordHeaderSize))
	if ok {
		m.segment.leave()
	}
	if err != nil {
		return false, fmt.Errorf("blob %s: %w", digest, err)
	}
	return ok, nil
}

// Each calls fn for every blob, in the order in which they stand on the disk,
// on the caller's goroutine; fn may call any method but Close. An error of fn
// ends it and is returned as it is. What is put or dropped meanwhile may be
// seen or not, and what is put again, or copied by Compact, may be seen twice.
// A blob whose header is hidden by damage is passed over.
func (s *Store) Each(ctx context.Context, fn func(digest task.Digest, size int64) error) error {
	return s.EachGrouped(ctx, func(digest task.Digest, _ uint64, size int64) error { return fn(digest, size) })
}

// EachGrouped is Each, with the group of every blob. One that is in several
// groups is seen in each.
func (s *Store) EachGrouped(ctx context.Context, fn func(digest task.Digest, group uint64, size int64) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	for after := uint32(0); ; {
		g, size := s.following(after)
		if g == nil {
			return nil
		}
		after = g.number
		err := s.eachIn(ctx, g, size, fn)
		g.leave()
		if err != nil {
			return err
		}
	}
}

// following returns the segment after a number, for use, and its size.
func (s *Store) following(number uint32) (*segment, int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, g := range s.segments {
		if g.number > number {
			g.users.Add(1)
			return g, g.size
		}
	}
	return nil, 0
}

// Going through many records takes a processor for as long as exchanges that people
// wait for. So it is done in slices, each with a rest after it in which others have
// the processor.
const (
	eachSlice = 1024 // records: about a millisecond
	eachRest  = time.Millisecond
)

// eachIn goes through one segment. It goes on where the segment has grown
// meanwhile: Compact may have copied there what was still to be seen.
func (s *Store) eachIn(ctx context.Context, g *segment, size int64, fn func(task.Digest, uint64, int64) error) error {
	scan := newScanner(g.file, g.number, size)
	for n := 0; ; n++ {
		if n%eachSlice == eachSlice-1 {
			if ctx.Err() != nil {
				return s.about(ctx.Err())
			}
			time.Sleep(eachRest)
		}
		f, err := scan.next()
		if errors.Is(err, io.EOF) {
			s.mu.RLock()
			grown := g.size > scan.size
			scan.size = g.size
			s.mu.RUnlock()
			if grown {
				continue
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("segments %s: %s: %w", s.config.Path, segmentName(g.number), err)
		}
		if f.gap || f.header.kind != kindBlob {
			continue
		}
		s.mu.RLock()
		counts := s.index.has(f.header.group, s.index.key(f.header.name()), location{g.number, uint32(f.offset)})
		s.mu.RUnlock()
		if !counts {
			continue
		}
		if err := fn(f.header.digest, f.header.group, int64(f.header.length)); err != nil {
			return err
		}
	}
}
