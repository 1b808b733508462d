package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/coordinator/state"
)

// maxBatch bounds the commands of one log entry, in bytes.
const maxBatch = 256 << 10

// maxQueued bounds the commands that wait for the log, in bytes.
const maxQueued = 64 << 20

// inFlight is how many entries may be on their way at once: while one is
// being written, the next one fills up.
const inFlight = 2

// Fewer, larger entries cost less on every node. Commands come in crowds, since a
// round of small outputs that is on the disks lets go of all of its exchanges: the
// first of a crowd waits for the others for gather, if the last entry was made no
// longer ago than crowded. A command that comes to an idle leader does not wait.
const (
	gather  = time.Millisecond
	crowded = 20 * time.Millisecond
)

// patience is how long a command that nobody waits for (ProposeSoon) waits for one
// that somebody does, to go in the same entry. At half of what a cluster can do, every
// second entry had held nothing but the verdicts on what the one before it reported.
const patience = 10 * time.Millisecond

// proposal is one command on its way through the log.
type proposal struct {
	command []byte
	patient bool
	done    chan outcome
}

type outcome struct {
	result state.Result
	err    error
}

// queue holds proposals until an entry is made of them.
type queue struct {
	mu       sync.Mutex
	waiting  []*proposal
	bytes    int
	pressing bool      // not all of them are patient
	since    time.Time // when the first came that is not
	late     *time.Timer
	closed   bool
	kick     chan struct{}
	room     sync.Pool // of *[]byte: commands that are in an entry
}

func newQueue() *queue { return &queue{kick: make(chan struct{}, 1)} }

func (q *queue) add(p *proposal) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrNotLeader
	}
	if q.bytes+len(p.command) > maxQueued {
		return ErrOverloaded
	}
	if p.patient && len(q.waiting) == 0 {
		q.late = time.AfterFunc(patience, q.wake)
	}
	if !p.patient && !q.pressing {
		q.pressing, q.since = true, time.Now()
	}
	q.waiting = append(q.waiting, p)
	q.bytes += len(p.command)
	if q.pressing {
		q.wake()
	}
	return nil
}

// wake has an entry made of what waits.
func (q *queue) wake() {
	select {
	case q.kick <- struct{}{}:
	default:
	}
}

// toGather is how much longer the first that somebody waits for has to wait for the
// rest of the crowd.
func (q *queue) toGather() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.pressing {
		return 0
	}
	return gather - time.Since(q.since)
}

// take removes what fits into one entry, at least one proposal if any waits.
func (q *queue) take() []*proposal {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.waiting) && (n == 0 || size+len(q.waiting[n].command) <= maxBatch) {
		size += len(q.waiting[n].command)
		n++
	}
	batch := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	q.bytes -= size
	q.pressing = len(q.waiting) > 0
	if q.pressing {
		q.wake()
	} else if q.late != nil {
		q.late.Stop()
	}
	return batch
}

// maxRoom bounds the memory that is kept for another command, in bytes.
const maxRoom = 16 << 10

// takeRoom is memory that a command may be encoded in.
func (q *queue) takeRoom() []byte {
	if b, ok := q.room.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

// giveRoom takes back the memory of commands that were copied into an entry.
func (q *queue) giveRoom(batch []*proposal) {
	for _, p := range batch {
		b := p.command
		p.command = nil
		if cap(b) <= maxRoom {
			q.room.Put(&b)
		}
	}
}

// close refuses everything that waits, and everything after it.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, p := range q.waiting {
		p.done <- outcome{err: ErrNotLeader}
	}
	q.waiting = nil
	if q.late != nil {
		q.late.Stop()
	}
}

// Propose puts a command through the log and returns what it came to, once it
// is applied here. If ctx ends first, the command may still be applied.
func (n *Node) Propose(ctx context.Context, c state.Command) (state.Result, error) {
	return n.enter(ctx, c, false)
}

// ProposeSoon is Propose for a command that nobody waits for: it goes with what is
// proposed next, and by itself if nothing is for 10 ms.
func (n *Node) ProposeSoon(ctx context.Context, c state.Command) (state.Result, error) {
	return n.enter(ctx, c, true)
}

func (n *Node) enter(ctx context.Context, c state.Command, patient bool) (state.Result, error) {
	if err := n.fatal.Err(); err != nil {
		return state.Result{}, err
	}
	if !n.Serving() {
		return state.Result{}, ErrNotLeader
	}
	if err := n.allowed(c); err != nil {
		return state.Result{}, err
	}
	p := &proposal{command: state.AppendCommand(n.queue.takeRoom(), c), patient: patient, done: make(chan outcome, 1)}
	if len(p.command) > maxBatch {
		return state.Result{}, fmt.Errorf("command %T of %d bytes, at most %d fit into the log", c, len(p.command), maxBatch)
	}
	began := time.Now()
	if err := n.queue.add(p); err != nil {
		return state.Result{}, err
	}
	select {
	case o := <-p.done:
		n.measures.Propose.Since(began)
		n.measures.Commands.Add(1)
		return o.result, o.err
	case <-ctx.Done():
		return state.Result{}, fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// allowed refuses a command that not every member may know (R4).
func (n *Node) allowed(c state.Command) error {
	since := state.Since(c)
	if since <= 1 {
		return nil
	}
	var version uint16
	n.View(func(s *state.State) { version = s.Version() })
	if since > version {
		return fmt.Errorf("command %T came with version %d, the cluster has version %d: not every member knows it", c, since, version)
	}
	return nil
}

// propose makes entries of what waits and hands them to raft.
func (n *Node) propose(ctx context.Context) error {
	type entry struct {
		batch  []*proposal
		future raft.ApplyFuture
	}
	entries := make(chan entry, inFlight-1) // one more is being waited for
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(entries)
	wg.Go(func() {
		for e := range entries {
			deliver(e.batch, e.future)
		}
	})
	var last time.Time // when the last entry was made
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.queue.kick:
		}
		if time.Since(last) < crowded {
			time.Sleep(n.queue.toGather())
		}
		batch := n.queue.take()
		if len(batch) == 0 {
			continue // what it was called for went with the entry before
		}
		last = time.Now()
		e := state.Entry{Now: n.clock.now(n.cfg.Now())}
		for _, p := range batch {
			e.Commands = append(e.Commands, p.command)
		}
		encoded := state.EncodeEntry(e)
		n.queue.giveRoom(batch)
		entries <- entry{batch, n.raft.Apply(encoded, 5*time.Second)}
	}
}

// deliver waits for one entry and tells each proposer what became of it.
func deliver(batch []*proposal, f raft.ApplyFuture) {
	err := f.Error()
	if err == nil {
		if failed, ok := f.Response().(error); ok {
			err = failed
		}
	}
	if err != nil {
		err = leadershipError(err)
		for _, p := range batch {
			p.done <- outcome{err: err}
		}
		return
	}
	results := f.Response().([]state.Result)
	for i, p := range batch {
		p.done <- outcome{result: results[i]}
	}
}

// leadershipError sorts raft's errors into what a caller can act on.
func leadershipError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return ErrNotLeader
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return ErrOverloaded
	case errors.Is(err, raft.ErrLeadershipLost), errors.Is(err, raft.ErrAbortedByRestore), errors.Is(err, raft.ErrRaftShutdown):
		return fmt.Errorf("%w (%w)", ErrUnknown, err)
	}
	return err
}
