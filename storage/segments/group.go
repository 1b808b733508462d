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
	s.mu.RLock()
	defer s.mu.RUnlock()
	groups := make([]uint64, 0, len(s.index.groups))
	for g := range s.index.groups {
		if g != 0 {
			groups = append(groups, g)
		}
	}
	slices.Sort(groups)
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
	s.turn.Lock()
	defer s.turn.Unlock()
	if err := s.mayWrite(); err != nil {
		return s.about(err)
	}
	s.mu.Lock()
	if shelf := s.index.groups[group]; shelf != nil {
		for number, c := range shelf.shares {
			s.segment(number).loseMany(c)
			s.index.count -= c.blobs
		}
		delete(s.index.groups, group)
	}
	s.mu.Unlock()
	if err := s.removeSpent(false); err != nil {
		return s.about(err)
	}
	return nil
}

// window is how much EachOf reads at once, in bytes: more than any record has.
const window = 1 << 20

// EachOf calls fn for each blob of a group that can be read, in the order in
// which they stand on the disk. The bytes are fn's until it returns. A blob
// that is damaged is passed over, and so is one that Compact moves meanwhile.
func (s *Store) EachOf(ctx context.Context, group uint64, fn func(digest task.Digest, body []byte) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	s.mu.RLock()
	places := s.index.places(group)
	s.mu.RUnlock()
	slices.SortFunc(places, func(a, b location) int {
		if a.segment != b.segment {
			return int(int64(a.segment) - int64(b.segment))
		}
		return int(int64(a.offset) - int64(b.offset))
	})
	for len(places) > 0 {
		n := 1
		for n < len(places) && places[n].segment == places[0].segment {
			n++
		}
		if err := s.eachAt(ctx, places[:n], group, fn); err != nil {
			return err
		}
		places = places[n:]
	}
	return nil
}

// eachAt reads records of one segment, in windows.
func (s *Store) eachAt(ctx context.Context, places []location, group uint64, fn func(task.Digest, []byte) error) error {
	s.mu.RLock()
	g := s.segment(places[0].segment)
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
	buf := make([]byte, min(window, size))
	base, have := int64(0), int64(0) // what buf holds
	for _, at := range places {
		if err := ctx.Err(); err != nil {
			return s.about(err)
		}
		offset := int64(at.offset)
		if offset < base || offset+recordHeaderSize > base+have || !holds(buf[offset-base:have], at) && offset != base {
			n, err := g.file.ReadAt(buf, offset)
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("segments %s: %s: %w", s.config.Path, segmentName(g.number), err)
			}
			base, have = offset, int64(n)
		}
		b := buf[offset-base : have]
		h, ok := parseHeader(b, at)
		if !ok || h.group != group || int64(len(b)) < h.size() || !h.matches(b[recordHeaderSize:h.size()]) {
			continue
		}
		if err := fn(h.digest, b[recordHeaderSize:h.size()]); err != nil {
			return err
		}
	}
	return nil
}

// holds reports whether b has the whole record that begins at its front.
func holds(b []byte, at location) bool {
	h, ok := parseHeader(b, at)
	return ok && int64(len(b)) >= h.size()
}
