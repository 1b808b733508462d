package segments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

const lockName = "lock"

// Damage is what Open found to be wrong.
type Damage struct {
	// Blobs is how many records have a body that fails its checksum. Unless the
	// same blob stands elsewhere, reading it is storage.ErrCorrupt.
	Blobs int64

	// Headers is how many headers, of records or segments, are damaged without a
	// loss.
	Headers int64

	// LostBytes is how many bytes in the middle of segments make no sense. What
	// blobs were there is not known: they are storage.ErrNotFound. After a power
	// cut it may be that they never were acknowledged.
	LostBytes int64

	// CutBytes is how many bytes were cut off the last segment: a write that the
	// end of the process or of the power interrupted.
	CutBytes int64
}

// Damage tells what Open found. The zero Damage means that all is well.
func (s *Store) Damage() Damage { return s.damage }

// listSegments returns the numbers of the segments in a directory, in their
// order. It refuses one that holds something else.
func listSegments(d disk, path string) ([]uint32, error) {
	names, err := d.list()
	if err != nil {
		return nil, fmt.Errorf("segments %s: %w", path, err)
	}
	var numbers []uint32
	for _, n := range names {
		number, ok := parseSegmentName(n)
		switch {
		case ok:
			numbers = append(numbers, number)
		case n != lockName && !strings.HasPrefix(n, "."):
			return nil, fmt.Errorf("%s holds %q, so it is not a store of segments; choose an empty directory", path, n)
		}
	}
	return numbers, nil
}

// recover reads all segments and fills the index. In the end everything it
// found is on the disk: the process before may have died before its sync.
func (s *Store) recover(ctx context.Context) error {
	numbers, err := listSegments(s.disk, s.config.Path)
	if err != nil {
		return err
	}
	defer s.coolDown(0)
	for i, n := range numbers {
		s.coolDown(warmSegments - 1)
		if err := s.recoverSegment(ctx, n, i == len(numbers)-1); err != nil {
			return fmt.Errorf("segments %s: %s: %w", s.config.Path, segmentName(n), err)
		}
		s.newest = n
	}
	s.recoverDamaged()
	if err := s.disk.sync(); err != nil {
		return s.about(err)
	}
	return nil
}

// recoverSegment reads one segment, in the order of their numbers.
func (s *Store) recoverSegment(ctx context.Context, number uint32, last bool) error {
	f, err := s.disk.open(segmentName(number))
	if err != nil {
		return err
	}
	g := newSegment(number, f, 0)
	s.segments = append(s.segments, g)
	if g.size, err = f.length(); err != nil {
		return err
	}
	if g.size > math.MaxUint32 {
		return fmt.Errorf("%d bytes are too many for a segment; put back the file it was", g.size)
	}
	begun, err := s.recoverHeader(g)
	if err != nil || !begun {
		return err
	}
	g.file = warm(f, g.size)
	end, err := s.recoverRecords(ctx, g, last)
	if err != nil {
		return err
	}
	if end < g.size {
		if err := g.file.Truncate(end); err != nil {
			return err
		}
		s.damage.CutBytes += g.size - end
		g.size = end
	}
	s.bytes += g.size
	if last {
		return f.Sync()
	}
	return nil
}

// recoverHeader looks at how a segment begins. A file that does not even hold a
// whole header was being made when the process ended; it is deleted, and begun
// is false.
func (s *Store) recoverHeader(g *segment) (begun bool, err error) {
	var b [segmentHeaderSize]byte
	n, err := g.file.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	err = checkSegmentHeader(b[:n], g.number)
	switch {
	case err == nil:
		return true, nil
	case !errors.Is(err, errDamagedHeader):
		return false, err
	case g.size > segmentHeaderSize:
		s.damage.Headers++
		return true, nil
	}
	s.damage.CutBytes += g.size
	s.segments = s.segments[:len(s.segments)-1]
	g.leave()
	return false, s.disk.remove(segmentName(g.number))
}

// recoverRecords indexes what stands in a segment and returns where it ends:
// what follows, in the last segment, was never acknowledged.
func (s *Store) recoverRecords(ctx context.Context, g *segment, last bool) (end int64, err error) {
	scan := newScanner(g.file, g.number, g.size)
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		f, err := scan.next()
		if errors.Is(err, io.EOF) {
			g.suspect = scan.suspect
			return g.size, nil
		}
		if err != nil {
			return 0, err
		}
		torn := f.gap || len(f.body) < f.header.length
		if last && torn && f.offset+f.size == g.size {
			return f.offset, nil
		}
		if f.mended {
			s.damage.Headers++
		}
		switch {
		case f.gap, f.damaged && f.header.kind == kindNotes:
			s.damage.LostBytes += f.size
		case f.header.kind == kindBlob:
			s.recoverBlob(g, f)
		case !scan.suspect:
			s.recoverNotes(g, f)
		}
	}
}

// recoverBlob indexes a blob. Of two whole ones the newer counts, so that the
// older may be noted as dead. A damaged one is put aside: it may be what a power
// cut left of a copy.
func (s *Store) recoverBlob(g *segment, f found) {
	at := location{g.number, uint32(f.offset)}
	if f.damaged {
		s.damage.Blobs++
		s.damaged[at] = f.header
		return
	}
	key := s.index.key(f.header.name())
	m, ok, _ := s.locate(f.header.name(), make([]byte, recordHeaderSize)) // an error hides an older copy, and the newer counts
	if ok {
		m.segment.leave()
		m.segment.lose(m.size())
		s.index.replace(f.header.group, key, m.at, m.size(), at, f.header.size())
	} else {
		s.index.insert(f.header.group, key, at, f.header.size())
	}
	g.gain(f.header.size())
}

// recoverDamaged indexes the damaged blobs of which there is nothing better, so
// that reading them says what has happened.
func (s *Store) recoverDamaged() {
	for at, h := range s.damaged {
		m, ok, _ := s.locate(h.name(), make([]byte, recordHeaderSize))
		if ok {
			m.segment.leave()
			continue
		}
		s.index.insert(h.group, s.index.key(h.name()), at, h.size())
		s.segment(at.segment).gain(h.size())
	}
	s.damaged = nil
}

// recoverNotes forgets what notes say does not count.
func (s *Store) recoverNotes(g *segment, f found) {
	notes := parseNotes(f.body)
	g.notes += int64(len(notes))
	var b [recordHeaderSize]byte
	for _, at := range notes {
		about := s.segment(at.segment)
		if about == nil || about == g && int64(at.offset) >= f.offset {
			continue
		}
		delete(s.damaged, at)
		n, _ := about.file.ReadAt(b[:], int64(at.offset))
		h, ok := parseHeader(b[:n], at)
		if !ok {
			h, ok = mendHeader(b[:n], at)
		}
		if ok && s.index.remove(h.group, s.index.key(h.name()), at, h.size()) {
			about.lose(h.size())
		}
	}
}
