package blobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Frames of digests: what is to be kept, and what of it is missing.
const (
	frameKeep    uint16 = 50
	frameMissing uint16 = 51
)

// keepAtOnce is how many blobs one message asks a peer to keep.
const keepAtOnce = 8192

// maxKeep bounds such a message, in bytes.
const maxKeep = keepAtOnce*40 + 1024

type digests struct {
	Digests []task.Digest `msgpack:"d,omitempty"`
}

// keeper is a store that deletes what nobody has asked for in a while.
type keeper interface {
	Keep(ctx context.Context, digests []task.Digest) (missing []task.Digest, err error)
}

// keepLocal asks this node's store to keep blobs, and returns those that it
// does not have.
func (s *Store) keepLocal(ctx context.Context, area Area, want []task.Digest) (missing []task.Digest, err error) {
	if k, ok := s.local[area].(keeper); ok {
		return k.Keep(ctx, want)
	}
	for _, d := range want {
		ok, err := s.local[area].Has(ctx, d)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// Keep makes sure that a majority has blobs and keeps them for a while, so that
// an entry that refers to them can be proposed. What this node lacks is fetched,
// what peers lack is sent to them. A blob that is nowhere is
// storage.ErrNotFound.
func (s *Store) Keep(ctx context.Context, area Area, want ...task.Digest) error {
	ctx, err := s.stamped(ctx)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(want, keepAtOnce) {
		if err := s.keep(ctx, area, some); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) keep(ctx context.Context, area Area, want []task.Digest) error {
	missing, err := s.keepLocal(ctx, area, want)
	if err != nil {
		return err
	}
	if s.shared(area, 0) {
		if len(missing) > 0 {
			return fmt.Errorf("blob %s: %w", missing[0], storage.ErrNotFound)
		}
		return nil
	}
	for _, d := range missing {
		if err := s.repair(ctx, area, d, fmt.Errorf("blob %s: %w", d, storage.ErrNotFound)); err != nil {
			return err
		}
	}
	return s.spread(ctx, fmt.Sprintf("%d blobs to keep", len(want)), true, pushTime(storage.MaxBlobSize), nil, func(ctx context.Context, p Peer) error {
		asking, cancel := context.WithTimeout(ctx, pushTimeout)
		missing, err := p.Keep(asking, area, want)
		cancel()
		for _, d := range missing {
			if err == nil {
				err = s.send(ctx, area, d, p)
			}
		}
		return err
	})
}

// Look returns a whole blob of at most limit bytes, this node's or a peer's. It
// keeps no copy of a peer's.
func (s *Store) Look(ctx context.Context, area Area, digest task.Digest, limit int64) ([]byte, error) {
	b, err := storage.ReadAll(ctx, s.local[area], digest, limit)
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrCorrupt) {
		return s.fetch(ctx, area, digest, limit)
	}
	return b, err
}

// send puts a blob of this node onto a peer.
func (s *Store) send(ctx context.Context, area Area, digest task.Digest, p Peer) error {
	b, err := s.Open(ctx, area, digest)
	if err != nil {
		return err
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(ctx, pushTime(b.Size()))
	defer cancel()
	return p.Put(ctx, area, digest, b.Size(), io.NewSectionReader(b, 0, b.Size()))
}

func (p *remotePeer) Keep(ctx context.Context, area Area, want []task.Digest) (missing []task.Digest, err error) {
	body := wire.Seal(frameKeep, wire.Marshal(digests{want}))
	req, err := p.request(ctx, http.MethodPost, string(area)+"/keep", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := p.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, refusal(res)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxKeep+1))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	missing, err = openDigests(frameMissing, b)
	for _, d := range missing {
		if !slices.Contains(want, d) {
			return nil, fmt.Errorf("%w: a peer lacks blob %s, which it was not asked for", wire.ErrMalformed, d.Short())
		}
	}
	return missing, err
}

func openDigests(kind uint16, b []byte) ([]task.Digest, error) {
	got, payload, err := wire.Open(b, maxKeep)
	var d digests
	if err == nil && got == kind {
		err = wire.UnmarshalLax(payload, &d)
	}
	if err == nil && (got != kind || len(d.Digests) > keepAtOnce) {
		err = fmt.Errorf("%w: a frame of kind %d with %d digests", wire.ErrMalformed, got, len(d.Digests))
	}
	return d.Digests, err
}

func (s *Store) serveKeep(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.area(w, r); !ok {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxKeep+1))
	var want []task.Digest
	if err == nil {
		want, err = openDigests(frameKeep, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	missing, err := s.keepLocal(r.Context(), Area(r.PathValue("area")), want)
	if err != nil {
		answer(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(wire.Seal(frameMissing, wire.Marshal(digests{missing}))) // a peer that went away asks again
}
