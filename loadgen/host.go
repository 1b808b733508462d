package loadgen

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// How long hosts wait where there is nothing else to do.
const (
	retryAfter    = 20 * time.Millisecond // before a request is sent again, elsewhere
	idleAfter     = 10 * time.Millisecond // after an answer that brought no task
	sentAwayAtEnd = time.Second           // the longest that hosts stay away when the load is at its end
	answerLimit   = time.Minute           // a request that nobody answers for so long ends the load
)

// receipt is a report that a host was told is accepted.
type receipt struct {
	id    task.AttemptID
	index uint32
	host  uint32 // its place in Load.hosts; filled in by Audit
}

// host is one simulated volunteer. It is used by one goroutine at a time; only
// the counts are read by others meanwhile.
type host struct {
	load    *Load
	key     ed25519.PrivateKey
	account ed25519.PrivateKey
	public  task.Key
	session task.SessionID
	number  uint64 // of the last request
	node    int    // which coordinator it asks

	pace  *pace
	start time.Time       // of the run that paces it
	stop  <-chan struct{} // closed at its end
	away  time.Duration   // how long the last exchange waited because it was sent away

	held     []attempt // those that a request on its way reports come first
	receipts []receipt
	counts   counts
	taken    Histogram // how long exchanges took

	conn     connection
	payload  []byte
	envelope []byte
	frame    bytes.Buffer
	reply    reply
}

// counts are read while a load runs.
type counts struct {
	exchanges atomic.Uint64
	accepted  atomic.Uint64
	handed    atomic.Uint64
	repeated  atomic.Uint64
	sentAway  atomic.Uint64      // times that a coordinator had too much to do
	others    [256]atomic.Uint32 // by acknowledgement: reports that were not accepted
}

func (h *host) enrol(ctx context.Context) error {
	public := protocol.PublicKey(h.account)
	h.seal(protocol.PurposeEnrol, wire.Marshal(&protocol.Enrol{
		Account: public, AccountName: "load", HostName: "load",
		Certificate: protocol.Certify(h.account, h.public), Facts: facts(),
	}))
	return h.send(ctx)
}

// run exchanges until stop is closed.
func (h *host) run(ctx context.Context, stop <-chan struct{}) error {
	h.stop = stop
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, late := h.pace.turn(time.Since(h.start))
		if !pause(ctx, stop, timer, wait) {
			return ctx.Err()
		}
		sent := time.Now()
		if err := h.exchange(ctx, h.load.cfg.Batch); err != nil {
			return err
		}
		h.taken.Add(time.Since(sent) - h.away + late)
		if len(h.held) == 0 && !pause(ctx, stop, timer, idleAfter) {
			return ctx.Err()
		}
	}
}

// pause waits; it returns false when that is over before its time.
func pause(ctx context.Context, stop <-chan struct{}, timer *time.Timer, d time.Duration) bool {
	if d <= 0 {
		select {
		case <-stop:
			return false
		default:
			return ctx.Err() == nil
		}
	}
	timer.Reset(d)
	select {
	case <-ctx.Done():
		return false
	case <-stop:
		return false
	case <-timer.C:
		return true
	}
}

// drain reports what counts, and takes what is missing.
func (h *host) drain(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		missing := max(0, h.load.remaining.Load())
		if missing == 0 && h.reportable() == 0 {
			return nil
		}
		if err := h.exchange(ctx, int(min(missing, int64(h.load.cfg.Batch)))); err != nil {
			return err
		}
		got := h.reportable()
		h.load.remaining.Add(-int64(got))
		if got == 0 && !pause(ctx, nil, timer, idleAfter) {
			return ctx.Err()
		}
	}
}

// reportable moves what may be reported to the front of what is held, and
// returns how many that are.
func (h *host) reportable() int {
	n := 0
	for i := range h.held {
		if h.held[i].index < h.load.target {
			h.held[n], h.held[i] = h.held[i], h.held[n]
			n++
		}
	}
	return min(n, protocol.MaxReports)
}

// exchange reports what is held and takes up to want new tasks.
func (h *host) exchange(ctx context.Context, want int) error {
	n := h.reportable()
	h.payload = h.load.encoder.exchange(h.payload[:0], h.held[:n], h.held[n:], want)
	h.seal(protocol.PurposeExchange, h.payload)
	if err := h.send(ctx); err != nil {
		return err
	}
	if len(h.reply.acks) != n {
		return fmt.Errorf("%w: %d acknowledgements of %d reports", errReply, len(h.reply.acks), n)
	}
	h.take(n)
	return nil
}

// take does what the answer to an exchange with n reports says.
func (h *host) take(n int) {
	accepted := 0
	for i, ack := range h.reply.acks {
		if protocol.Ack(ack) != protocol.AckAccepted {
			h.counts.others[ack].Add(1)
			continue
		}
		h.receipts = append(h.receipts, receipt{id: h.held[i].id, index: uint32(h.held[i].index)})
		accepted++
	}
	h.held = append(h.held[:0], h.held[n:]...)
	h.held = append(h.held, h.reply.attempts...)
	h.counts.exchanges.Add(1)
	h.counts.accepted.Add(uint64(accepted))
	h.counts.handed.Add(uint64(len(h.reply.attempts)))
	if accepted > 0 {
		h.load.accepted()
	}
	h.follow()
}

// follow turns to the leader that the last answer named.
func (h *host) follow() {
	nodes := h.load.cfg.Nodes
	if len(h.reply.leader) == 0 || string(h.reply.leader) == string(nodes[h.node].Name) {
		return
	}
	for i := range nodes {
		if string(nodes[i].Name) == string(h.reply.leader) {
			h.node = i
		}
	}
}

// seal makes the next request of the session.
func (h *host) seal(purpose protocol.Purpose, payload []byte) {
	h.number++
	e := protocol.Envelope{
		Version: protocol.Version, Cluster: h.load.cfg.Cluster, Session: h.session, Opened: h.load.cfg.Opened,
		Number: h.number, Purpose: purpose, Payload: payload,
	}
	e.Sign(h.key)
	h.envelope = h.load.encoder.envelope(h.envelope[:0], &e)
	h.frame.Reset()
	_ = wire.WriteFrame(&h.frame, protocol.FrameEnvelope, h.envelope) // a buffer takes everything
}

// send sends the request, the same bytes again and again, here and there, until
// it is answered (R2).
func (h *host) send(ctx context.Context) error {
	var timer *time.Timer
	h.away = 0
	for began := time.Now(); ; h.counts.repeated.Add(1) {
		err := h.try(ctx)
		var refused *protocol.Error
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errReply):
			return err
		case errors.As(err, &refused) && !refused.Temporary():
			return fmt.Errorf("request %d was refused (code %d): %w", h.number, refused.Code, err)
		case time.Since(began) > answerLimit:
			return fmt.Errorf("no coordinator has answered request %d for %s: %w", h.number, answerLimit, err)
		}
		if refused == nil || refused.Code == protocol.CodeNoLeader {
			h.node = (h.node + 1) % len(h.load.cfg.Nodes)
		}
		if timer == nil {
			timer = time.NewTimer(0)
			defer timer.Stop()
		}
		if refused == nil || refused.Code != protocol.CodeOverloaded {
			pause(ctx, nil, timer, retryAfter)
			continue
		}
		h.counts.sentAway.Add(1)
		from := time.Now()
		if !pause(ctx, h.stop, timer, time.Duration(refused.RetryMillis)*time.Millisecond) { // the request still counts
			pause(ctx, nil, timer, min(sentAwayAtEnd, time.Duration(refused.RetryMillis)*time.Millisecond))
		}
		h.away += time.Since(from)
		began = time.Now()
	}
}

// try sends the request once and reads the answer.
func (h *host) try(ctx context.Context) error {
	if err := h.conn.open(ctx, h.load.cfg.Nodes[h.node].Address); err != nil {
		return err
	}
	b, err := h.conn.post(h.frame.Bytes())
	if err != nil {
		return err
	}
	kind, payload, err := wire.Open(b, protocol.MaxReply)
	if err != nil {
		h.conn.close()
		return err
	}
	if kind != protocol.FrameReply {
		return errReply
	}
	if err := h.reply.decode(payload); err != nil {
		return err
	}
	if h.reply.refused != nil {
		return h.reply.refused
	}
	return nil
}
