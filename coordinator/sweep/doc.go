// Package sweep is what the leader does without being asked: it ends attempts
// whose deadline has passed, judges tasks whose results are in, releases
// chunks whose tasks are all decided, or all but a few that drag on, seals them
// into sheaves, opens the next level of a reduction, and forgets old sessions.
//
// Each loop finds its work by reading the state, so a new leader goes on where
// the last one stopped, and proposes commands that Apply checks again. Nothing
// but memory is kept between rounds.
//
// Run owns three goroutines: one follows the state as it changes, one seals
// what is released, one follows the clock.
package sweep

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Node is the replicated state, as sweep uses it.
type Node interface {
	View(fn func(*state.State))
	Changed() <-chan struct{}
	Propose(ctx context.Context, c state.Command) (state.Result, error) // does not keep c
	Now() task.Millis
}

// Blobs keeps blobs on a majority of nodes.
type Blobs interface {
	// ReadOutput returns the bytes of an output of at most limit bytes.
	ReadOutput(ctx context.Context, digest task.Digest, limit int64) ([]byte, error)
	// EachOutput calls fn for the outputs that this node keeps in some groups.
	EachOutput(ctx context.Context, groups []uint64, fn func(digest task.Digest, body []byte) error) error
	// PutOutput stores one output.
	PutOutput(ctx context.Context, digest task.Digest, size int64, r io.Reader) error
	// Publish makes an output readable for everybody.
	Publish(ctx context.Context, digest task.Digest) error
	// PutPublic stores small public blobs.
	PutPublic(ctx context.Context, blobs []storage.Small) error
	// PutPublicLarge stores one public blob.
	PutPublicLarge(ctx context.Context, digest task.Digest, size int64, r io.Reader) error
}

// Archive reads released results.
type Archive interface {
	Chunk(ctx context.Context, stage task.StageID, chunk uint64) (*sheaves.Sheaf, error)
	// ReadOutput returns the bytes of a released task's list of outputs, or of an output.
	ReadOutput(ctx context.Context, stage task.StageID, i uint64, digest task.Digest, limit int64) ([]byte, error)
}

// Sweeper runs the leader's loops.
type Sweeper struct {
	node    Node
	blobs   Blobs
	archive Archive
	log     *slog.Logger

	judging judging // of the goroutine that follows the state
}

// New makes a sweeper; nothing runs yet.
func New(node Node, blobs Blobs, archive Archive, log *slog.Logger) *Sweeper {
	return &Sweeper{node: node, blobs: blobs, archive: archive, log: log}
}

// Run runs the loops until ctx ends, which it does when leadership does.
func (s *Sweeper) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.follow(ctx, s.advance) })
	g.Go(func() error { return s.followClock(ctx) })
	g.Go(func() error { return s.follow(ctx, newSealing(s).seal) })
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// retryAfter is the pause after a round that failed.
const retryAfter = time.Second

// follow does a round of work whenever something changed, and again while there
// was something to do.
func (s *Sweeper) follow(ctx context.Context, round func(context.Context) (busy bool, err error)) error {
	for {
		changed := s.node.Changed()
		busy, err := round(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			// A lost leadership ends ctx; anything else (a peer that is down,
			// a full disk) may pass.
			s.log.Warn("the leader's round failed; it is tried again", "error", err)
			if err := pause(ctx, retryAfter); err != nil {
				return err
			}
			continue
		}
		if busy {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// advance does one round over the running jobs.
func (s *Sweeper) advance(ctx context.Context) (busy bool, err error) {
	for _, round := range []func(context.Context) (bool, error){s.judge, s.release, s.openStages} {
		did, err := round(ctx)
		if err != nil {
			return busy, err
		}
		busy = busy || did
	}
	return busy, nil
}

// expireEvery is how often deadlines are looked at.
const expireEvery = 500 * time.Millisecond

// tickEvery is how often the log is told the time when it is told nothing else,
// so that followers know it well enough to open sessions, and a leader to come
// goes on close to where this one stopped: it knows no other time than that of the
// last entry.
const tickEvery = 10 * time.Minute

// forgetEvery is how often old sessions are looked for.
const forgetEvery = time.Hour

// followClock ends what is overdue, and leaves behind what drags on.
func (s *Sweeper) followClock(ctx context.Context) error {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	overflow := time.NewTicker(overflowEvery)
	defer overflow.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			err = s.expire(ctx)
		case <-overflow.C:
			err = s.overflow(ctx)
		case <-forget.C:
			_, err = s.node.Propose(ctx, &state.ForgetSessions{Before: s.node.Now() - state.SessionKept})
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("what the clock asks for was not done; it is tried again", "error", err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
