package remote

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/sheafgrid/sheaf/protocol"
)

// Request sends a signed request and returns its answer. The same bytes are
// sent again, to whichever coordinator answers, until one does or refuses for
// good: the number in them makes sure that they are carried out once (R2). A
// refusal is a *protocol.Error.
func (r *Remote) Request(ctx context.Context, e *protocol.Envelope) (*protocol.Reply, error) {
	return r.Send(ctx, e.Encode())
}

// Send is Request for a request that is encoded already.
func (r *Remote) Send(ctx context.Context, frame []byte) (*protocol.Reply, error) {
	if len(frame) > protocol.MaxEnvelope {
		return nil, protocol.Refuse(protocol.CodeTooLarge, "the request has %d bytes, at most %d are allowed", len(frame), protocol.MaxEnvelope)
	}
	var reply *protocol.Reply
	err := r.try(ctx, func(ctx context.Context, at protocol.Address) (err error) {
		reply, err = r.sendTo(ctx, at, frame)
		return err
	})
	if err != nil {
		return nil, err
	}
	if x := reply.Exchange; x != nil {
		r.learn(x.Members, x.Leader)
		r.clock.set(&r.mu, max(x.Time, 0))
	}
	if d := reply.Done; d != nil {
		r.learn(d.Members, d.Leader)
	}
	return reply, nil
}

func (r *Remote) sendTo(ctx context.Context, at protocol.Address, frame []byte) (*protocol.Reply, error) {
	base := at.Base
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+protocol.PathRequests, bytes.NewReader(frame))
	if err != nil {
		return nil, &ownError{err}
	}
	req.Header.Set("Content-Type", protocol.ContentType)
	resp, err := r.roundTrip(at, req)
	if err != nil {
		return nil, err
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return nil, r.misdirected(ctx, at, refusal(base, resp))
	}
	if mediaType(resp) != protocol.ContentType {
		return nil, foreign(base, resp)
	}
	b, err := readAll(base, resp, protocol.MaxReply+1<<10)
	if err != nil {
		return nil, err
	}
	reply, err := protocol.DecodeReply(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w from %s: %w", ErrMalformed, base, err)
	case reply.Error != nil:
		return nil, r.misdirected(ctx, at, known(reply.Error))
	case (reply.Exchange == nil) == (reply.Done == nil):
		return nil, fmt.Errorf("%w from %s: it holds no answer, or two", ErrMalformed, base)
	}
	return reply, nil
}

// misdirected looks behind "this is another cluster" by asking which one it is.
// A coordinator that is coming up, or was when it refused, is asked again. One
// that does belong to another cluster, perhaps at a reused address, is passed
// over: it ends nothing that the other members can still do.
func (r *Remote) misdirected(ctx context.Context, at protocol.Address, err error) error {
	if !protocol.HasCode(err, protocol.CodeWrongCluster) {
		return err
	}
	if _, err := r.clusterAt(ctx, at); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s %w", ErrUnreachable, at.Base, errNotReady)
}
