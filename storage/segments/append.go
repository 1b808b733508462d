package segments

import (
	"crypto/sha256"
	"hash/crc32"
	"slices"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/internal/planted"
)

const (
	// writeSize is from how many bytes on records are passed to the disk.
	writeSize = 1 << 20

	// notesAtOnce bounds the notes that go before other records.
	notesAtOnce = 1 << 20
)

// appender adds records to the newest segment. It uses what only the holder of
// Store.turn may use. After an error it has been undone.
type appender struct {
	store   *Store
	segment *segment
	offset  int64 // where Store.out goes
	noted   int   // of Store.pending
}

// begin starts to append, with the notes that are pending.
func (s *Store) begin() (*appender, error) {
	g, err := s.writable()
	if err != nil {
		return nil, err
	}
	a := &appender{store: s, segment: g, offset: g.size}
	s.out = s.out[:0]
	s.pending = slices.DeleteFunc(s.pending, func(at location) bool { return s.segment(at.segment) == nil })
	a.noted = min(len(s.pending), notesAtOnce)
	for notes := range slices.Chunk(s.pending[:a.noted], maxNotes) {
		if err := a.addNotes(notes); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *appender) addNotes(notes []location) error {
	body := appendNotes(nil, notes)
	_, err := a.add(recordHeader{kind: kindNotes, length: len(body), sum: crc32.Checksum(body, castagnoli), digest: sha256.Sum256(body)}, body)
	return err
}

// add appends a record and returns its place.
func (a *appender) add(h recordHeader, body []byte) (location, error) {
	s := a.store
	at := location{a.segment.number, uint32(a.offset + int64(len(s.out)))}
	s.out = append(h.append(s.out, at), body...)
	if len(s.out) < writeSize {
		return at, nil
	}
	return at, a.flush()
}

func (a *appender) flush() error {
	s := a.store
	n, err := a.segment.file.WriteAt(s.out, a.offset)
	if err != nil {
		return a.undo(err)
	}
	a.offset += int64(n)
	s.out = s.out[:0]
	return nil
}

// finish writes the rest. With sync, all is on the disk afterwards; without, it
// is with the next sync of the segment.
func (a *appender) finish(sync bool) error {
	s, g := a.store, a.segment
	if err := a.flush(); err != nil {
		return err
	}
	if sync && !planted.Is(planted.OutputsBeforeSync) {
		if err := g.file.Sync(); err != nil {
			if fsutil.IsNoSpace(err) {
				s.active, s.dirty = nil, false // a sync that failed is not repeated on the same file
			}
			return a.undo(err)
		}
	}
	s.dirty = !sync
	s.pending = s.pending[:copy(s.pending, s.pending[a.noted:])]
	s.mu.Lock()
	defer s.mu.Unlock()
	g.notes += int64(a.noted)
	s.bytes += a.offset - g.size
	g.size = a.offset
	return nil
}

// undo cuts off what a full disk did not take whole. Any other error was the
// last of the store.
func (a *appender) undo(err error) error {
	if fsutil.IsNoSpace(err) {
		if e := a.segment.file.Truncate(a.segment.size); e != nil {
			return a.store.breakDown(e)
		}
	}
	return a.store.wrote(err)
}

// flushNotes writes all notes that are pending. On a full disk they stay so.
func (s *Store) flushNotes() error {
	for len(s.pending) > 0 {
		s.pending = slices.DeleteFunc(s.pending, func(at location) bool { return s.segment(at.segment) == nil })
		if len(s.pending) == 0 {
			return nil
		}
		a, err := s.begin()
		if err == nil {
			err = a.finish(false)
		}
		if fsutil.IsNoSpace(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
