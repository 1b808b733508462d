package histories

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// party is somebody with a key who sends numbered requests, one after the
// other.
type party struct {
	run     *run
	key     ed25519.PrivateKey
	session task.SessionID
	opened  task.Millis
	number  uint64
	rnd     *rand.Rand
	via     int // the node asked last
}

// newParty makes a party with a key that no other history has.
func (r *run) newParty(kind string, n int) *party {
	sum := task.Sum(fmt.Appendf(nil, "history %d %s %d", r.cfg.Seed, kind, n))
	rnd := rand.New(rand.NewPCG(r.cfg.Seed, uint64(sum[0])<<8|uint64(sum[1])))
	return &party{run: r, key: ed25519.NewKeyFromSeed(sum[:]), session: task.SessionID(rnd.Uint64() | 1), rnd: rnd, via: rnd.IntN(16)}
}

func (p *party) public() task.Key { return protocol.PublicKey(p.key) }

// Times of sending.
const (
	shortTry = 40 * time.Millisecond // the least that a try may take
	longTry  = 1500 * time.Millisecond
	pause    = 30 * time.Millisecond // between tries
	patience = 90 * time.Second      // until a request must be answered
)

// envelope makes and signs the party's next request.
func (p *party) envelope(ctx context.Context, purpose protocol.Purpose, payload any) (*protocol.Envelope, error) {
	if p.number == 0 {
		v, err := p.view(ctx)
		if err != nil {
			return nil, err
		}
		p.opened = v.Time
	}
	p.number++
	return p.signed(p.number, purpose, payload), nil
}

func (p *party) signed(number uint64, purpose protocol.Purpose, payload any) *protocol.Envelope {
	e := &protocol.Envelope{
		Version: protocol.Version, Cluster: p.run.cfg.Cluster, Session: p.session, Opened: p.opened,
		Number: number, Purpose: purpose, Payload: wire.Marshal(payload),
	}
	e.Sign(p.key)
	return e
}

// each calls try with one node after the other until it returns nil.
func (p *party) each(ctx context.Context, what string, try func(ctx context.Context, node int) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for {
		limit := shortTry + time.Duration(p.rnd.Int64N(int64(longTry)))
		short, stop := context.WithTimeout(ctx, limit)
		err := try(short, p.via)
		stop()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		p.via = p.rnd.IntN(p.run.cluster.Nodes())
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s was not answered for %s: %w", what, patience, last)
		case <-time.After(time.Duration(p.rnd.Int64N(int64(pause)))):
		}
	}
}

// view asks for the cluster's view. A node that knows nothing yet says of which
// cluster it is: none.
func (p *party) view(ctx context.Context) (v protocol.ClusterView, err error) {
	for {
		err := p.getJSON(ctx, protocol.PathCluster, &v, nil)
		if err != nil || !v.Cluster.IsZero() {
			return v, err
		}
		p.via = p.rnd.IntN(p.run.cluster.Nodes())
	}
}

// errTemporary is returned for an answer that asks to come again.
var errTemporary = errors.New("to be sent again")

// send sends a request until it is answered. A refusal that is not temporary
// is an answer.
func (p *party) send(ctx context.Context, e *protocol.Envelope) (reply *protocol.Reply, err error) {
	err = p.each(ctx, fmt.Sprintf("request %d of %s", e.Number, p.public()), func(ctx context.Context, node int) error {
		reply, err = p.try(ctx, e, node)
		return err
	})
	return reply, err
}

// try sends a request to one node once.
func (p *party) try(ctx context.Context, e *protocol.Envelope, node int) (*protocol.Reply, error) {
	b, err := p.run.cluster.Do(ctx, node, "POST", protocol.PathRequests, e.Encode(), nil)
	if err != nil {
		return nil, err
	}
	r, err := protocol.DecodeReply(b)
	if err == nil && r.Error != nil && r.Error.Temporary() {
		err = fmt.Errorf("%w: %w", errTemporary, r.Error)
	}
	return r, err
}

// getJSON reads a view from any node that answers. A job that is not there is
// an answer, errNoJob.
func (p *party) getJSON(ctx context.Context, path string, into any, header map[string]string) error {
	none := false
	err := p.each(ctx, "GET "+path, func(ctx context.Context, node int) error {
		b, err := p.run.cluster.Do(ctx, node, "GET", path, nil, header)
		var status *Status
		if errors.As(err, &status) && status.Code == 404 {
			none = true
			return nil
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(b, into)
	})
	if err == nil && none {
		return errNoJob
	}
	return err
}

var errNoJob = errors.New("there is no such job")

// do sends a new request that must be carried out.
func (p *party) do(ctx context.Context, purpose protocol.Purpose, payload any) error {
	e, err := p.envelope(ctx, purpose, payload)
	if err != nil {
		return err
	}
	r, err := p.send(ctx, e)
	if err == nil && r.Error != nil {
		err = r.Error
	}
	return err
}

// readHeader signs a reading.
func (p *party) readHeader(path string) map[string]string {
	at := p.run.now.Load()
	return map[string]string{
		protocol.HeaderKey: p.public().String(), protocol.HeaderTime: fmt.Sprint(at),
		protocol.HeaderSignature: protocol.EncodeSignature(protocol.SignRead(p.key, p.run.cfg.Cluster, path, task.Millis(at))),
	}
}
