package segments

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"
)

const (
	// copyAtOnce and readAtOnce bound what one call of Compact does, in bytes,
	// since Puts wait for it.
	copyAtOnce = 512 << 10
	readAtOnce = 2 << 20
)

// Compact does a step, of some milliseconds, of making room: it copies what
// lives in a segment that is mostly dead, or small, to the newest one, and
// deletes it at last. A segment of which something was dropped since Compact
// last saw it rests for Config.Quiet. more is true while there is something left
// to do at once. It needs room for what it copies; without, it is
// storage.ErrNoSpace.
func (s *Store) Compact(ctx context.Context) (more bool, err error) {
	if err := s.enterWrite(ctx); err != nil {
		return false, err
	}
	defer s.calls.Done()
	// What needs no copy gives its room first.
	err = s.inTurn(func() ([]*segment, error) {
		dirty := s.dirty
		spent := s.takeSpent(true)
		if dirty && s.active == nil {
			return spent, s.unlink(spent) // what is not synced must go before anything comes behind it
		}
		return spent, nil
	})
	if err == nil {
		err = s.inTurn(func() (spent []*segment, err error) {
			now := time.Now()
			if g := s.candidate(now); g != nil {
				err = s.move(g)
				spent = s.takeSpent(false)
			}
			more = s.candidate(now) != nil
			return spent, err
		})
	}
	if err != nil {
		return false, s.about(err)
	}
	return more, nil
}

// candidate returns the segment with the least to copy of those for which it is
// worth while: more than half is dead, or it is small and there is room in the
// newest. One that was copied up to its end and still has blobs is too damaged,
// or cannot be read: it stays until they are dropped.
func (s *Store) candidate(now time.Time) *segment {
	var best *segment
	for _, g := range s.segments {
		rests := s.rests(g, now)
		dead := g.size - segmentHeaderSize - g.live
		small := s.active != nil && g.size < s.config.SegmentBytes/2 && s.active.size+g.live < s.config.SegmentBytes
		switch {
		case g == s.active, rests, g.cursor >= g.size && g.blobs > 0:
		case g.blobs > 0 && dead <= g.live && !small:
		case best == nil || g.live < best.live:
			best = g
		}
	}
	return best
}

// rests reports whether a segment may yet go as a whole: some of it was dropped a
// short while ago, and nothing is copied yet. What it holds of the quota must not
// keep others out meanwhile.
func (s *Store) rests(g *segment, now time.Time) bool {
	if g.live != g.seenLive || g.seen.IsZero() {
		g.seenLive, g.seen = g.live, now
	}
	return g.cursor == segmentHeaderSize && now.Sub(g.seen) < s.config.Quiet &&
		(s.config.Quota == 0 || s.bytes <= s.config.Quota/2)
}

// moving is a record of a segment on its way to the newest.
type moving struct {
	group   uint64
	key     uint64
	old, at location
	size    int64
}

// move copies records from where the last call ended.
func (s *Store) move(g *segment) error {
	a, err := s.begin()
	if err != nil {
		return err
	}
	scan := newScanner(g.file, g.number, g.size)
	scan.offset, scan.suspect = max(g.cursor, segmentHeaderSize), g.suspect
	var moved []moving
	var notes []location
	for from, bytes := scan.offset, int64(0); bytes < copyAtOnce && scan.offset-from < readAtOnce; {
		f, err := scan.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			g.cursor = g.size // others come first from now on
			return errors.Join(err, a.abandon())
		}
		if f.header.kind == kindNotes && !f.damaged && !scan.suspect && !s.isOldest(g) {
			notes = append(notes, s.stillNeeded(g, parseNotes(f.body))...)
			continue
		}
		m := moving{group: f.header.group, key: s.index.key(f.header.name()), old: location{g.number, uint32(f.offset)}, size: f.header.size()}
		if f.gap || f.header.kind != kindBlob || len(f.body) < f.header.length || !s.index.has(m.group, m.key, m.old) {
			continue
		}
		if m.at, err = a.add(f.header, f.body); err != nil {
			return err
		}
		moved = append(moved, m)
		bytes += m.size
	}
	for some := range slices.Chunk(notes, maxNotes) {
		if err := a.addNotes(some); err != nil {
			return err
		}
	}
	if err := a.finish(true); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.segment.notes += int64(len(notes))
	for _, m := range moved {
		s.index.replace(m.group, m.key, m.old, m.size, m.at, m.size)
		a.segment.gain(m.size)
		g.lose(m.size)
	}
	g.cursor = scan.offset
	if g.cursor >= g.size {
		g.notes = 0
	}
	return nil
}

// stillNeeded returns the notes that are about other segments that exist.
func (s *Store) stillNeeded(g *segment, notes []location) []location {
	return slices.DeleteFunc(notes, func(at location) bool {
		return at.segment == g.number || s.segment(at.segment) == nil
	})
}

// abandon cuts off what was written of records that will not be finished.
func (a *appender) abandon() error {
	if err := a.segment.file.Truncate(a.segment.size); err != nil {
		return a.store.breakDown(err)
	}
	return nil
}
