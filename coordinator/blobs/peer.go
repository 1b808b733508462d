package blobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// remotePeer is a coordinator reached over HTTP.
type remotePeer struct {
	name    task.NodeID
	url     string
	changes string
	http    *http.Client
}

// NewPeer reaches the Handler of the coordinator of that name at its URL. It is
// the client's part to make sure that no other one answers there: an empty node
// at a dead one's address must not count as one that has its blobs. changes is
// how many changes of the members this node knows of.
func NewPeer(name task.NodeID, url string, changes uint64, client *http.Client) Peer {
	return &remotePeer{name: name, url: url, changes: strconv.FormatUint(changes, 10), http: client}
}

func (p *remotePeer) Name() task.NodeID { return p.name }

func (p *remotePeer) Put(ctx context.Context, area Area, digest task.Digest, size int64, r io.Reader) error {
	req, err := p.request(ctx, http.MethodPut, string(area)+"/"+digest.String(), r)
	if err != nil {
		return err
	}
	req.ContentLength = size
	if size == 0 {
		req.Body = http.NoBody
	}
	return p.do(req)
}

func (p *remotePeer) PutBatch(ctx context.Context, area Area, parcel *Parcel) error {
	req, err := p.request(ctx, http.MethodPost, string(area), parcel.reader())
	if err != nil {
		return err
	}
	return p.do(req)
}

func (p *remotePeer) Get(ctx context.Context, area Area, digest task.Digest) (int64, io.ReadCloser, error) {
	req, err := p.request(ctx, http.MethodGet, string(area)+"/"+digest.String(), nil)
	if err != nil {
		return 0, nil, err
	}
	res, err := p.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	if res.StatusCode == http.StatusOK && res.ContentLength >= 0 {
		return res.ContentLength, res.Body, nil
	}
	return 0, nil, refusal(res)
}

func (p *remotePeer) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.url+pathPrefix+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set(headerMembers, p.changes)
	stamp(req)
	return req, nil
}

func (p *remotePeer) do(req *http.Request) error {
	res, err := p.http.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode == http.StatusNoContent {
		return res.Body.Close()
	}
	return refusal(res)
}

// refusal reads a peer's answer that is not a success, and closes it.
func refusal(res *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(res.Body, 1024))
	err = errors.Join(err, res.Body.Close())
	if err != nil {
		return err
	}
	kind := map[int]error{
		http.StatusNotFound: storage.ErrNotFound, http.StatusInsufficientStorage: storage.ErrNoSpace,
		http.StatusRequestEntityTooLarge: storage.ErrTooLarge, http.StatusBadRequest: storage.ErrMismatch,
		http.StatusConflict: ErrMembersChanged,
	}[res.StatusCode]
	if kind == nil {
		return fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(text))
	}
	return fmt.Errorf("%w (%s)", kind, bytes.TrimSpace(text))
}
