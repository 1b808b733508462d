package segments

import (
	"context"

	"github.com/sheafgrid/sheaf/task"
)

// dropAtOnce is how many blobs Drop forgets before it lets others write.
const dropAtOnce = 4096

// Drop forgets blobs that stand alone; those that are not there are no error.
// Segments of which
// nothing is needed any more are deleted at once, but for the newest; for the
// rest of the room, call Compact. Drop waits for no fsync but those of
// deletions: a power cut soon afterwards can bring blobs back. It works on a
// full disk. After an error some are forgotten and some are not.
func (s *Store) Drop(ctx context.Context, digests []task.Digest) error {
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	for len(digests) > 0 {
		if err := ctx.Err(); err != nil {
			return s.about(err)
		}
		n := min(dropAtOnce, len(digests))
		if err := s.inTurn(func() ([]*segment, error) { return s.drop(digests[:n]), nil }); err != nil {
			return s.about(err)
		}
		digests = digests[n:]
	}
	// Notes are written last: by now most of the segments that they would be about
	// are gone.
	if err := s.inTurn(func() ([]*segment, error) { return nil, s.flushNotes() }); err != nil {
		return s.about(err)
	}
	return nil
}

// drop forgets some blobs and returns the segments of which nothing is needed any
// more.
func (s *Store) drop(digests []task.Digest) []*segment {
	var b [recordHeaderSize]byte
	for _, d := range digests {
		m, ok, _ := s.locate(name{digest: d}, b[:]) // one that cannot be read is forgotten too
		if !ok {
			continue
		}
		s.mu.Lock()
		s.index.remove(0, s.index.key(name{digest: d}), m.at, m.size())
		m.segment.lose(m.size())
		s.mu.Unlock()
		m.segment.leave()
		s.pending = append(s.pending, m.at)
	}
	return s.takeSpent(false)
}

// size is that of the record, 0 where damage hides it.
func (m *match) size() int64 {
	if m.blurred {
		return 0
	}
	return m.header.size()
}
