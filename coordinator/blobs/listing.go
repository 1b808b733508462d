package blobs

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Listed is one blob that a node has.
type Listed struct {
	Digest task.Digest
	Group  uint64 // what the node keeps it for (storage.Small.Group); it may have it for several
	Size   int64  // in bytes; storage.UnknownSize where damage hides it
}

func (a Listed) compare(b Listed) int {
	return cmp.Or(bytes.Compare(a.Digest[:], b.Digest[:]), cmp.Compare(a.Group, b.Group))
}

// grouped is a store that knows what its blobs are kept for.
type grouped interface {
	ListGrouped(ctx context.Context, fn func(digest task.Digest, group uint64, size int64) error) error
	HasIn(ctx context.Context, group uint64, digest task.Digest) (bool, error)
}

// listLocal calls fn for all blobs of a store, in the order of compare.
func listLocal(ctx context.Context, blobs storage.Blobs, fn func(Listed) error) error {
	if g, ok := blobs.(grouped); ok {
		return g.ListGrouped(ctx, func(d task.Digest, group uint64, size int64) error { return fn(Listed{d, group, size}) })
	}
	return blobs.List(ctx, func(d task.Digest, size int64) error { return fn(Listed{Digest: d, Size: size}) })
}

// hasLocal reports whether a store has a blob for what it is kept for elsewhere.
func hasLocal(ctx context.Context, blobs storage.Blobs, l Listed) (bool, error) {
	if g, ok := blobs.(grouped); ok && l.Group != 0 {
		return g.HasIn(ctx, l.Group, l.Digest)
	}
	return blobs.Has(ctx, l.Digest)
}

// A list of a node's blobs is a row of entries of 48 bytes: a digest, the group,
// and the size in bytes (8 bytes each, big-endian; the size -1 where damage
// hides it), in the order of digests and then of groups. The last entry has the
// size -2, a digest of zeros, and for the group the number of the entries before
// it, so that a list that breaks off is not taken for a whole one.
const (
	listEntry = 48
	listEnd   = int64(-2)
)

// errList is wrapped by what is wrong with a list.
var errList = errors.New("list of blobs")

func appendListed(b []byte, l Listed) []byte {
	b = binary.BigEndian.AppendUint64(append(b, l.Digest[:]...), l.Group)
	return binary.BigEndian.AppendUint64(b, uint64(l.Size))
}

// writeList writes the list of a store's blobs.
func writeList(ctx context.Context, w io.Writer, blobs storage.Blobs) error {
	out := bufio.NewWriterSize(w, 64<<10)
	count := uint64(0)
	var entry [listEntry]byte
	err := listLocal(ctx, blobs, func(l Listed) error {
		count++
		_, err := out.Write(appendListed(entry[:0], l))
		return err
	})
	if err != nil {
		return err
	}
	if _, err := out.Write(appendListed(entry[:0], Listed{Group: count, Size: listEnd})); err != nil {
		return err
	}
	return out.Flush()
}

// readList calls fn for each entry of a list. It keeps one entry in memory,
// however long the list is.
func readList(r io.Reader, fn func(Listed) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var entry [listEntry]byte
	var before Listed
	for count := uint64(0); ; count++ {
		if _, err := io.ReadFull(in, entry[:]); err != nil {
			return fmt.Errorf("%w: it breaks off after %d entries: %w", errList, count, err)
		}
		l := Listed{task.Digest(entry[:32]), binary.BigEndian.Uint64(entry[32:]), int64(binary.BigEndian.Uint64(entry[40:]))}
		switch {
		case l.Size == listEnd:
			if l.Group != count {
				return fmt.Errorf("%w: %d entries came of %d", errList, count, l.Group)
			}
			return nil
		case l.Size < storage.UnknownSize || l.Size > storage.MaxBlobSize:
			return fmt.Errorf("%w: blob %s of %d bytes", errList, l.Digest.Short(), l.Size)
		case count > 0 && l.compare(before) <= 0:
			return fmt.Errorf("%w: blob %s is out of order", errList, l.Digest.Short())
		}
		before = l
		if err := fn(l); err != nil {
			return err
		}
	}
}

func (s *Store) serveList(w http.ResponseWriter, r *http.Request) {
	local, ok := s.area(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := writeList(r.Context(), w, local); err != nil {
		panic(http.ErrAbortHandler) // the reader sees that it is not whole
	}
}

// List implements Peer.
func (p *remotePeer) List(ctx context.Context, area Area, fn func(Listed) error) error {
	ctx, m := newMoving(ctx)
	defer m.end()
	req, err := p.request(ctx, http.MethodGet, string(area), nil)
	if err != nil {
		return err
	}
	res, err := p.http.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return refusal(res)
	}
	defer res.Body.Close()
	return readList(res.Body, func(l Listed) error {
		m.timer.Stop() // what is done with an entry takes its own time
		defer m.moved()
		return fn(l)
	})
}
