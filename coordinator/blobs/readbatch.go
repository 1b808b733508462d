package blobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// frameWanted is the kind of frame of a list of digests that a peer wants the
// blobs of.
const frameWanted uint16 = 49

// Bounds of one batch that is read: how many blobs, and bytes. A peer that
// holds more of what was asked for leaves the rest out.
const (
	maxWanted    = 4096
	maxReadBatch = maxBatch / 2
)

type wanted struct {
	Digests []task.Digest `msgpack:"d,omitempty"`
}

// serveReadBatch sends those of the wanted blobs that are here, whole and small.
func (s *Store) serveReadBatch(w http.ResponseWriter, r *http.Request) {
	local, ok := s.area(w, r)
	if !ok {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBatch+1))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	q, err := decodeWanted(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var b batch
	size := 0
	for _, d := range q {
		content, err := storage.ReadAll(r.Context(), local, d, storage.MaxSmallSize)
		switch {
		case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrCorrupt), errors.Is(err, storage.ErrTooLarge):
			continue
		case err != nil:
			answer(w, err)
			return
		}
		if size += len(content) + blobOverhead; size > maxReadBatch {
			break // nothing is lost: the peer sees what did not come
		}
		b.Blobs = append(b.Blobs, storage.Small{Digest: d, Bytes: content})
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(wire.Seal(frameBatch, wire.Marshal(b))) // a peer that went away asks again
}

func decodeWanted(body []byte) ([]task.Digest, error) {
	kind, payload, err := wire.Open(body, maxBatch)
	var q wanted
	if err == nil && kind == frameWanted {
		err = wire.UnmarshalLax(payload, &q)
	}
	if err != nil || kind != frameWanted || len(q.Digests) > maxWanted {
		return nil, fmt.Errorf("not a list of up to %d digests: %v", maxWanted, err)
	}
	return q.Digests, nil
}

// decodeBatch reads a batch and compares each blob with its digest.
func decodeBatch(body []byte) ([]storage.Small, error) {
	kind, payload, err := wire.Open(body, maxBatch)
	var b batch
	if err == nil && kind == frameBatch {
		err = wire.UnmarshalLax(payload, &b)
	}
	if err != nil || kind != frameBatch {
		return nil, fmt.Errorf("not a batch of blobs: %v", err)
	}
	return b.Blobs, storage.CheckBatch(b.Blobs, storage.MaxSmallSize)
}

// GetBatch implements Peer.
func (p *remotePeer) GetBatch(ctx context.Context, area Area, digests []task.Digest) ([]storage.Small, error) {
	body := wire.Seal(frameWanted, wire.Marshal(wanted{digests}))
	req, err := p.request(ctx, http.MethodPost, string(area)+"/read", bytes.NewReader(body))
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
	defer res.Body.Close()
	got, err := io.ReadAll(io.LimitReader(res.Body, maxBatch+1))
	if err != nil {
		return nil, err
	}
	return decodeBatch(got)
}
