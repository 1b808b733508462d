package segments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sheafgrid/sheaf/task"
)

// Groups are the groups of which there are blobs, in their order.
func (s *Store) Groups() []uint64 {
	groups := s.groups()
	slices.Sort(groups)
	return groups
}

// groups are the same in no order.
func (s *Store) groups() []uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	groups := make([]uint64, 0, len(s.index.groups))
	for g := range s.index.groups {
		if g != 0 {
			groups = append(groups, g)
		}
	}
	return groups
}

// DropGroup forgets all blobs of a group, at once and without reading them.
// Nothing of that is written down: after the next Open the group is there again,
// as far as its segments still are, and has to be dropped again. Segments of
// which nothing is needed any more are deleted.
func (s *Store) DropGroup(ctx context.Context, group uint64) error {
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	err := s.inTurn(func() ([]*segment, error) {
		s.mu.Lock()
		for number, c := range s.index.drop(group) {
			s.segment(number).loseMany(c)
		}
		s.mu.Unlock()
		return s.takeSpent(false), nil
	})
	if err != nil {
		return s.about(err)
	}
	return nil
}

// window is how much EachOf reads at once, in bytes: more than any record has.
const window = 1 << 20

// maxKeptPlaces bounds the room that EachOf keeps for the places of the next groups:
// a chunk has two blobs for each task.
const maxKeptPlaces = 32 << 10

// EachOf calls fn for each blob of some groups that can be read, in the order in
// which they stand on the disk. The bytes are fn's until it returns. A blob
// that is damaged is passed over, and so is one that Compact moves meanwhile.
func (s *Store) EachOf(ctx context.Context, groups []uint64, fn func(digest task.Digest, body []byte) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	room := s.places.Get().(*[]uint64)
	defer s.places.Put(room)
	places := (*room)[:0]
	s.mu.RLock()
	for _, group := range groups {
		places = s.index.appendPlaces(places, group)
	}
	s.mu.RUnlock()
	if cap(places) <= maxKeptPlaces {
		*room = places
	}
	slices.Sort(places)
	for len(places) > 0 {
		n := 1
		for n < len(places) && places[n]>>32 == places[0]>>32 {
			n++
		}
		if err := s.eachAt(ctx, places[:n], groups, fn); err != nil {
			return err
		}
		places = places[n:]
	}
	return nil
}

// eachAt reads records of one segment, in windows. A place is the segment's
// number, in the upper 32 bits, and the offset.
func (s *Store) eachAt(ctx context.Context, places, groups []uint64, fn func(task.Digest, []byte) error) error {
	s.mu.RLock()
	g := s.segment(uint32(places[0] >> 32))
	var size int64
	if g != nil {
		g.users.Add(1)
		size = g.size
	}
	s.mu.RUnlock()
	if g == nil {
		return nil
	}
	defer g.leave()
	whole := s.windows.Get().(*[window]byte)
	defer s.windows.Put(whole)
	buf := whole[:min(window, size)]
	base, have := int64(0), int64(0) // what buf holds
	for _, p := range places {
		if err := ctx.Err(); err != nil {
			return s.about(err)
		}
		at := location{segment: g.number, offset: uint32(p)}
		offset := int64(at.offset)
		h, body := recordAt(buf, base, have, at)
		if body == nil && (offset != base || have == 0) {
			n, err := g.file.ReadAt(buf, offset)
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("segments %s: %s: %w", s.config.Path, segmentName(g.number), err)
			}
			base, have = offset, int64(n)
			h, body = recordAt(buf, base, have, at)
		}
		if body == nil || !slices.Contains(groups, h.group) || !h.matches(body) {
			continue
		}
		if err := fn(h.digest, body); err != nil {
			return err
		}
	}
	return nil
}

// recordAt is the record at a place, if all of it is among the have bytes of buf,
// which begin at base in the segment. Its body is nil if it is not.
func recordAt(buf []byte, base, have int64, at location) (h recordHeader, body []byte) {
	from := int64(at.offset) - base
	if from < 0 || from+recordHeaderSize > have {
		return h, nil
	}
	h, ok := parseHeader(buf[from:have], at)
	if !ok || from+h.size() > have {
		return h, nil
	}
	return h, buf[from+recordHeaderSize : from+h.size()]
}
