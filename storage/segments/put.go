package segments

import (
	"context"
	"fmt"
	"hash/crc32"

	"github.com/sheafgrid/sheaf/storage"
)

// Put stores blobs of at most MaxBlobSize bytes; when it returns nil they are
// durable. It checks all of them first: if any is storage.ErrTooLarge or
// storage.ErrMismatch, none is stored. After any other error some may have been
// stored and the batch should be repeated. The same blob may be there already,
// or twice in the batch; under another group it is another one. Put does not
// keep or change the bytes.
//
// A full disk or quota is storage.ErrNoSpace; it passes when blobs are dropped,
// or Compact finds room. After any other error of a write or an fsync the store
// takes nothing more, and every later Put fails with the first error: what is
// acknowledged is safe, and whoever answers for the disk should stop.
func (s *Store) Put(ctx context.Context, blobs []storage.Small) error {
	if err := s.enterWrite(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	if err := storage.CheckBatch(blobs, MaxBlobSize); err != nil {
		return err
	}
	for len(blobs) > 0 {
		r := &request{ready: make(chan verdict, 1)}
		n := 0
		for n < len(blobs) && r.bytes < maxGroup {
			r.bytes += recordHeaderSize + int64(len(blobs[n].Bytes))
			n++
		}
		r.blobs, blobs = blobs[:n], blobs[n:]
		if err := s.submit(ctx, r); err != nil {
			return s.about(err)
		}
	}
	return nil
}

// submit returns when a request is written, by this goroutine or another.
func (s *Store) submit(ctx context.Context, r *request) error {
	if !s.queue.join(r) {
		if v := s.queue.wait(ctx, r); !v.lead {
			return v.err
		}
	}
	s.turn.Lock()
	s.commit(s.queue.take())
	s.turn.Unlock()
	s.queue.pass()
	return (<-r.ready).err
}

// commit writes a group of requests and gives each its verdict. The caller
// holds turn.
func (s *Store) commit(group []*request) {
	err := s.mayWrite()
	if err == nil {
		group = s.admit(group)
	}
	if err == nil && len(group) > 0 {
		err = s.write(group)
	}
	for _, r := range group {
		r.ready <- verdict{err: err}
	}
}

// admit returns the requests that the quota has room for, and refuses the
// others.
func (s *Store) admit(group []*request) []*request {
	if s.config.Quota == 0 {
		return group
	}
	left := s.config.Quota - s.bytes
	if s.active == nil || s.active.size >= s.config.SegmentBytes {
		left -= segmentHeaderSize
	}
	admitted := group[:0:0]
	for _, r := range group {
		if r.bytes > left {
			r.ready <- verdict{err: fmt.Errorf("%w: %d bytes are needed; of the quota of %d, %d are used",
				storage.ErrNoSpace, r.bytes, s.config.Quota, s.config.Quota-max(left, 0))}
			continue
		}
		left -= r.bytes
		admitted = append(admitted, r)
	}
	return admitted
}

// placement is where a blob was written, and where it was before.
type placement struct {
	group uint64
	key   uint64
	at    location
	size  int64 // of the record

	old        location // segment 0: it was not there
	oldSegment *segment
	oldSize    int64
}

// write puts a group onto the disk and then shows it to readers.
func (s *Store) write(group []*request) error {
	a, err := s.begin()
	if err != nil {
		return err
	}
	n := 0
	for _, r := range group {
		n += len(r.blobs)
	}
	placed, written := s.placed[:0], s.emptyWritten(n)
	defer func() { s.placed = placed[:0] }()
	var b [recordHeaderSize]byte
	for _, r := range group {
		for i := range r.blobs {
			blob := &r.blobs[i]
			n := name{blob.Group, blob.Digest}
			if _, twice := written[n]; twice {
				continue
			}
			written[n] = struct{}{}
			h := recordHeader{kind: kindBlob, length: len(blob.Bytes), sum: crc32.Checksum(blob.Bytes, castagnoli), digest: blob.Digest, group: blob.Group}
			at, err := a.add(h, blob.Bytes)
			if err != nil {
				return err
			}
			p := placement{group: n.group, key: s.index.key(n), at: at, size: h.size()}
			if m, ok, _ := s.locate(n, b[:]); ok { // one that cannot be read is replaced too
				p.old, p.oldSegment, p.oldSize = m.at, m.segment, m.size()
				m.segment.leave() // only the holder of turn removes it
			}
			placed = append(placed, p)
		}
	}
	if err := a.finish(true); err != nil {
		return err
	}
	s.show(a.segment, placed)
	return nil
}

// emptyWritten is written without what the last write left, for one of n blobs. A
// map that was once large takes long to clear, whatever is in it: it goes once
// writes are small again.
func (s *Store) emptyWritten(n int) map[name]struct{} {
	if n < s.most/8 {
		s.written, s.most = make(map[name]struct{}, n), n
	}
	clear(s.written)
	s.most = max(s.most, n)
	return s.written
}

// show lets readers find what was written. What it replaces is noted with the
// next write, since a note must not reach the disk before the new copy.
func (s *Store) show(g *segment, placed []placement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range placed {
		g.gain(p.size)
		if p.oldSegment == nil {
			s.index.insert(p.group, p.key, p.at, p.size)
			continue
		}
		s.index.replace(p.group, p.key, p.old, p.oldSize, p.at, p.size)
		p.oldSegment.lose(p.oldSize)
		s.pending = append(s.pending, p.old)
	}
}
