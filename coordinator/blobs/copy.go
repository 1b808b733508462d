package blobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// blobName tells copies that are kept for different things apart.
type blobName struct {
	digest task.Digest
	group  uint64
}

// flush copies the blobs that were noted, the small ones together.
func (l *levelling) flush(ctx context.Context, area Area) error {
	pending := l.pending
	l.pending, l.bytes = nil, 0
	batches := map[*holder][]storage.Small{} // by target
	needs := map[blobName]int{}
	contents := l.readGrouped(ctx, area, pending)
	for _, b := range pending {
		if b.Size > storage.MaxSmallSize {
			if err := l.large(ctx, area, b); err != nil {
				return err
			}
			continue
		}
		content, ok := contents[blobName{b.Digest, b.Group}]
		var err error
		if !ok {
			content, err = l.read(ctx, area, b)
		}
		if err != nil {
			l.unreadable(b, err)
			continue
		}
		needs[blobName{b.Digest, b.Group}] = b.need
		for _, t := range b.targets {
			batches[t] = append(batches[t], storage.Small{Digest: b.Digest, Bytes: content, Group: b.Group})
		}
	}
	return l.send(ctx, area, batches, needs)
}

// send gives each target what it lacks, and counts what is on enough now.
func (l *levelling) send(ctx context.Context, area Area, batches map[*holder][]storage.Small, needs map[blobName]int) error {
	for t, batch := range batches {
		if t.err != nil {
			continue
		}
		for part := range parts(batch) {
			err := l.put(ctx, area, t, part)
			if err != nil && (t.peer == nil && !errors.Is(err, storage.ErrNoSpace) || ctx.Err() != nil) {
				return err
			}
			if err != nil {
				t.err = err // it is not asked again; its list says so later
				break
			}
			for i := range part {
				needs[blobName{part[i].Digest, part[i].Group}]--
			}
		}
	}
	for _, need := range needs {
		l.count(need <= 0)
	}
	return ctx.Err()
}

func (l *levelling) count(enough bool) {
	if enough {
		l.found.Copied++
	} else {
		l.found.Short++
	}
}

func (l *levelling) put(ctx context.Context, area Area, t *holder, part []storage.Small) error {
	size := int64(0)
	for i := range part {
		size += int64(len(part[i].Bytes))
	}
	var err error
	if t.peer == nil {
		err = l.store.local[area].PutBatch(ctx, part)
	} else {
		putting, cancel := context.WithTimeout(ctx, pushTimeout)
		parcel := NewParcel(part)
		err = t.peer.PutBatch(putting, area, parcel)
		parcel.done(err)
		cancel()
	}
	if err != nil {
		return err
	}
	return l.pace.Wait(ctx, int(size))
}

// readGrouped gets from each peer, with one message, the small blobs that it is the
// first to have listed. What does not come is read by itself.
func (l *levelling) readGrouped(ctx context.Context, area Area, pending []shortBlob) map[blobName][]byte {
	wanted := map[*holder][]Listed{}
	for _, b := range pending {
		if first := b.holders[0]; first.peer != nil && b.Size <= storage.MaxSmallSize {
			wanted[first] = append(wanted[first], b.Listed)
		}
	}
	contents := map[blobName][]byte{}
	for h, want := range wanted {
		got, err := getGrouped(ctx, h.peer, area, want)
		if err != nil {
			continue
		}
		for i := range got {
			contents[blobName{got[i].Digest, got[i].Group}] = got[i].Bytes
		}
	}
	return contents
}

// read returns a small blob from the first holder that has it whole.
func (l *levelling) read(ctx context.Context, area Area, b shortBlob) ([]byte, error) {
	var failed []error
	for _, h := range b.holders {
		if h.peer == nil {
			content, err := storage.ReadAll(ctx, l.store.local[area], b.Digest, storage.MaxSmallSize)
			if err == nil {
				return content, nil
			}
			failed = append(failed, err)
			continue
		}
		got, err := getGrouped(ctx, h.peer, area, []Listed{b.Listed})
		if err == nil && len(got) == 1 && got[0].Digest == b.Digest {
			return got[0].Bytes, nil
		}
		if err == nil {
			err = storage.ErrNotFound
		}
		failed = append(failed, fmt.Errorf("node %s: %w", h.name, err))
	}
	return nil, errors.Join(failed...)
}

// unreadable counts a blob that no holder could give. Where each said that it
// has it no more, or damaged, nothing is gained by waiting.
func (l *levelling) unreadable(b shortBlob, err error) {
	if b.Group != 0 && l.change.Unneeded(b.Group) {
		return // it went while the lists were compared
	}
	if gone(err) && b.Group == 0 { // a group may have been dropped just now
		l.found.Lost++
		l.store.log.Error("a blob is lost: every copy is damaged", "blob", b.Digest, "error", err)
		return
	}
	l.found.Short++
	l.remember(fmt.Errorf("blob %s: %w", b.Digest.Short(), err))
}

// gone reports whether all that went wrong is that copies are not there whole.
func gone(err error) bool {
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(e error) bool { return !gone(e) })
	case interface{ Unwrap() error }:
		return gone(e.Unwrap())
	}
	return err == storage.ErrNotFound || err == storage.ErrCorrupt
}

// large copies one blob as a stream, to one target after the other.
func (l *levelling) large(ctx context.Context, area Area, b shortBlob) error {
	need := b.need
	var failed error
	for _, t := range b.targets {
		if need == 0 || t.err != nil {
			continue
		}
		err := l.stream(ctx, area, b, t)
		switch {
		case err == nil:
			need--
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			failed = errors.Join(failed, err)
		}
	}
	if need == 0 {
		l.count(true)
		return nil
	}
	if failed == nil {
		failed = errors.New("no member that lacks it answers")
	}
	l.unreadable(b, failed)
	return nil
}

// stream copies a blob from the first holder that can give it to a target.
func (l *levelling) stream(ctx context.Context, area Area, b shortBlob, t *holder) error {
	var failed []error
	for _, h := range b.holders {
		err := l.streamFrom(ctx, area, b.Digest, h, t)
		if err == nil {
			return l.pace.Wait(ctx, int(b.Size))
		}
		failed = append(failed, fmt.Errorf("from %s to %s: %w", h.name, t.name, err))
	}
	return errors.Join(failed...)
}

func (l *levelling) streamFrom(ctx context.Context, area Area, d task.Digest, h, t *holder) error {
	ctx, m := newMoving(ctx)
	defer m.end()
	size, r, err := l.reader(ctx, area, d, h)
	if err != nil {
		return err
	}
	defer r.Close() // its bytes are verified by who takes them
	if t.peer == nil {
		return l.store.local[area].Put(ctx, d, size, m.reader(r))
	}
	return t.peer.Put(ctx, area, d, size, m.reader(r))
}

func (l *levelling) reader(ctx context.Context, area Area, d task.Digest, h *holder) (int64, io.ReadCloser, error) {
	if h.peer != nil {
		return h.peer.Get(ctx, area, d)
	}
	b, err := l.store.local[area].Open(ctx, d)
	if err != nil {
		return 0, nil, err
	}
	return b.Size(), &blobReader{io.NewSectionReader(b, 0, b.Size()), b}, nil
}

// blobReader reads a blob from its beginning to its end.
type blobReader struct {
	io.Reader
	io.Closer
}
