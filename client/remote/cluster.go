package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// How long to wait for an answer.
const (
	clusterTimeout = 10 * time.Second
	requestTimeout = 30 * time.Second
)

// maxView bounds a ClusterView, in bytes.
const maxView = 1 << 20

// Cluster asks each coordinator once, until one says what cluster it belongs
// to. Its error says what is wrong with the addresses. The first answer decides
// which cluster this Remote speaks to.
func (r *Remote) Cluster(ctx context.Context) (protocol.ClusterView, error) {
	var view protocol.ClusterView
	var o round
	_, err := r.askAll(ctx, &o, func(ctx context.Context, at protocol.Address) (err error) {
		view, err = r.clusterAt(ctx, at)
		return err
	})
	if errors.Is(err, ErrOtherCluster) && o.hope != nil {
		err = fmt.Errorf("%w; besides, %v", o.hope, err) // not the last word: the others may come back
	}
	if err != nil {
		r.mu.Lock()
		r.trouble = sentence(err)
		r.mu.Unlock()
		if ctx.Err() != nil {
			return protocol.ClusterView{}, r.interrupted(ctx, err)
		}
		return protocol.ClusterView{}, err
	}
	return view, nil
}

func (r *Remote) clusterAt(ctx context.Context, at protocol.Address) (protocol.ClusterView, error) {
	base := at.Base
	var view protocol.ClusterView
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	if err := r.getJSON(ctx, at, protocol.PathCluster, nil, maxView, &view); err != nil {
		return view, err
	}
	switch {
	case view.Protocol == 0:
		return view, fmt.Errorf("%s %w (it does not say which protocol it speaks)", base, ErrNotCoordinator)
	case view.Cluster.IsZero():
		return view, fmt.Errorf("%w: %s %w", ErrUnreachable, base, errNotReady)
	case view.Protocol != protocol.Version:
		return view, &ownError{protocol.Refuse(protocol.CodeVersion, "%s speaks protocol version %d, this program version %d; update the older of the two", base, view.Protocol, protocol.Version)}
	case view.Time < 0:
		return view, fmt.Errorf("%w from %s: a negative time", ErrMalformed, base)
	}
	if err := r.belongs(base, view.Cluster); err != nil {
		return view, err
	}
	r.learn(view.Members, view.Leader)
	r.clock.set(&r.mu, view.Time)
	return view, nil
}

// belongs compares a coordinator's cluster with the one that this Remote
// speaks to; the first one decides.
func (r *Remote) belongs(base string, id task.ClusterID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cluster.IsZero() {
		r.cluster = id
	}
	if r.cluster != id {
		return fmt.Errorf("%s %w: that is %s, this one is %s; use the address, or the data folder, that belongs to it", base, ErrOtherCluster, id, r.cluster)
	}
	return nil
}

// getJSON reads JSON from one coordinator. header, where it is not nil, adds to
// the request.
func (r *Remote) getJSON(ctx context.Context, at protocol.Address, path string, header http.Header, limit int64, into any) error {
	base := at.Base
	resp, err := r.get(ctx, at, path, header)
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return refusal(base, resp)
	}
	b, err := readAll(base, resp, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		if !isJSON(resp) {
			return foreign(base, resp)
		}
		return fmt.Errorf("%w from %s: %w", ErrMalformed, base, err)
	}
	return nil
}

func (r *Remote) get(ctx context.Context, at protocol.Address, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.Base+path, nil)
	if err != nil {
		return nil, &ownError{fmt.Errorf("path %q: %w", clip(path), err)}
	}
	for k, v := range header {
		req.Header[k] = v
	}
	return r.roundTrip(at, req)
}

// drain reads what little may be left of a body, so that its connection can be
// used again, and closes it.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10)
	_ = body.Close()
}
