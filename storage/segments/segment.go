package segments

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sheafgrid/sheaf/internal/fsutil"
)

// segment is one file and what is known of it.
type segment struct {
	number uint32
	file   file
	users  atomic.Int32 // who may still use file: the store, and readers

	// Guarded by Store.mu, and changed only by the holder of Store.turn.
	size  int64 // of the file, as far as it counts
	blobs int64 // that are indexed here
	live  int64 // bytes of their records
	notes int64 // that stand here

	// Used only by the holder of Store.turn.
	cursor   int64     // Compact has copied all before
	suspect  bool      // there is damage that had to be searched through
	seenLive int64     // live, as Compact saw it last
	seen     time.Time // since when it is that

	gone bool // its name is; used by whoever took it out of Store.segments
}

func newSegment(number uint32, f file, size int64) *segment {
	g := &segment{number: number, file: f, size: size, cursor: segmentHeaderSize}
	g.users.Store(1)
	return g
}

// leave ends a use; the last one closes the file.
func (g *segment) leave() {
	if g.users.Add(-1) == 0 {
		_ = g.file.Close() // nothing that counts is unsynced
	}
}

// gain counts a blob whose record has the given size.
func (g *segment) gain(size int64) {
	g.blobs++
	g.live += size
}

// lose is the reverse of gain; a size that damage hides is 0.
func (g *segment) lose(size int64) {
	g.blobs--
	g.live -= size
	if g.blobs == 0 {
		g.live = 0
	}
}

// loseMany is lose for many blobs.
func (g *segment) loseMany(c share) {
	g.blobs -= c.blobs
	g.live -= c.bytes
	if g.blobs == 0 {
		g.live = 0
	}
}

// segment returns the segment of a number, nil if there is none. The caller
// holds mu or turn.
func (s *Store) segment(number uint32) *segment {
	i, ok := slices.BinarySearchFunc(s.segments, number, func(g *segment, n uint32) int { return int(int64(g.number) - int64(n)) })
	if !ok {
		return nil
	}
	return s.segments[i]
}

func (s *Store) isOldest(g *segment) bool { return s.segments[0] == g }

// writable returns the segment that gets the next record. The caller holds
// turn.
func (s *Store) writable() (*segment, error) {
	if s.active != nil && s.active.size < s.config.SegmentBytes {
		return s.active, nil
	}
	if err := s.seal(); err != nil {
		return nil, err
	}
	return s.addSegment()
}

// seal ends the newest segment. It puts notes onto the disk that are not yet
// there: only the last segment may end in the middle of a record.
func (s *Store) seal() error {
	var err error
	if s.dirty {
		err = s.wrote(s.active.file.Sync())
	}
	s.active, s.dirty = nil, false
	return err
}

// addSegment makes a segment. Its header and its name are on the disk before
// anything is written into it.
func (s *Store) addSegment() (*segment, error) {
	if s.newest == math.MaxUint32 {
		return nil, fmt.Errorf("segments %s: all numbers are used up; move the blobs to a new store", s.config.Path)
	}
	s.newest++
	name := segmentName(s.newest)
	f, err := s.disk.create(name)
	if err != nil {
		return nil, noSpace(err)
	}
	_, err = f.WriteAt(segmentHeader(s.newest), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = s.disk.sync()
	}
	if err := s.wrote(err); err != nil {
		_ = f.Close()
		_ = s.disk.remove(name)
		return nil, err
	}
	g := newSegment(s.newest, f, segmentHeaderSize)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments = append(s.segments, g)
	s.bytes += g.size
	s.active = g
	return g, nil
}

// isSpent reports whether nothing in a segment is needed any more: no blob is
// there, and no note about an older segment.
func (s *Store) isSpent(g *segment) bool {
	return g.blobs == 0 && (g.notes == 0 || s.isOldest(g))
}

// takeSpent takes segments out of which nothing is needed any more: the newest
// only on demand, since it is cheaper to fill it up. The caller holds turn, and
// calls remove with them when it does not.
func (s *Store) takeSpent(alsoNewest bool) []*segment {
	var spent []*segment
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; i < len(s.segments); {
		g := s.segments[i]
		if !s.isSpent(g) || g == s.active && !alsoNewest {
			i++
			continue
		}
		if g == s.active {
			s.active, s.dirty = nil, false
		}
		s.segments = slices.Delete(s.segments, i, i+1)
		s.bytes -= g.size
		spent = append(spent, g)
	}
	return spent
}

// unlink deletes the names of segments that were taken out. After a power cut
// they are not there.
func (s *Store) unlink(spent []*segment) error {
	some := false
	for _, g := range spent {
		if g.gone {
			continue
		}
		if err := s.disk.remove(segmentName(g.number)); err != nil {
			return fmt.Errorf("segments %s: %w", s.config.Path, err)
		}
		g.gone, some = true, true
	}
	if !some {
		return nil
	}
	return s.wrote(s.disk.sync())
}

// remove deletes segments that were taken out. It takes up to about a second, in
// which Puts go on.
func (s *Store) remove(spent []*segment) error {
	err := s.unlink(spent)
	until := time.Now().Add(fsutil.ShrinkAtMost)
	for _, g := range spent {
		if err == nil && g.users.Load() == 1 { // else somebody reads it
			fsutil.Shrink(g.file, g.size, until)
		}
		g.leave()
	}
	return err
}

// inTurn runs fn while nobody else writes, and then deletes the segments that it
// returns.
func (s *Store) inTurn(fn func() ([]*segment, error)) error {
	s.turn.Lock()
	err := s.mayWrite()
	var spent []*segment
	if err == nil {
		spent, err = fn()
	}
	s.turn.Unlock()
	return errors.Join(err, s.remove(spent))
}
