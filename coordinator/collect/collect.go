package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Kept is how long a blob is kept that nobody refers to, or no longer, in
// cluster time.
const Kept task.Millis = 24 * 60 * 60 * 1000

// every is how often a node looks for blobs to delete.
const every = time.Hour

// Node is the replicated state.
type Node interface {
	View(fn func(*state.State))
}

// Blobs reads indexes, lists and packs, from peers where need be.
type Blobs interface {
	ReadPublic(ctx context.Context, digest task.Digest, limit int64) ([]byte, error)
	ReadOutput(ctx context.Context, digest task.Digest, limit int64) ([]byte, error)
	OpenOutput(ctx context.Context, digest task.Digest) (storage.Blob, error)
}

// Config is what a Collector is made of.
type Config struct {
	Node    Node
	Blobs   Blobs
	Public  *Store
	Outputs *Store
	Pace    int64 // bytes a second that a round reads; 0: without limit
	Logger  *slog.Logger
}

// Collector deletes what nobody refers to from a node's stores.
type Collector struct {
	walk
	reporting
	public, outputs *Store
	log             *slog.Logger

	round sync.Mutex // one at a time
}

// Report says how the last round went.
type Report struct {
	Rounds int64       // so far, failed ones included
	Now    task.Millis // cluster time of the state that was walked
	Took   time.Duration
	Gone   Deleted // by all rounds since the process began
	Aside  Deleted // blobs of a shared store that were put aside, likewise
	Broken int64   // unfinished uploads that were ended there, likewise
	Failed string  // why the last round deleted nothing, or not everything; "": it did what was to be done
}

// add adds what a round did.
func (r *Report) add(round Report) {
	r.Rounds++
	r.Now, r.Took, r.Failed = round.Now, round.Took, round.Failed
	r.Gone.add(round.Gone)
	r.Aside.add(round.Aside)
	r.Broken += round.Broken
}

// reporting remembers how rounds went.
type reporting struct {
	mu   sync.Mutex
	last Report
}

func (r *reporting) note(round Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.add(round)
}

// Report says how the last round went.
func (r *reporting) Report() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// New makes a collector; nothing runs yet.
func New(cfg Config) *Collector {
	return &Collector{walk: newWalk(cfg.Node, cfg.Blobs, cfg.Pace), public: cfg.Public, outputs: cfg.Outputs, log: cfg.Logger}
}

// Run does a round every hour until ctx ends.
func (c *Collector) Run(ctx context.Context) error { return hourly(ctx, c.log, c.Round) }

// hourly does a round every hour until ctx ends.
func hourly(ctx context.Context, log *slog.Logger, round func(context.Context) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := round(ctx); err != nil && ctx.Err() == nil {
				log.Warn("unused blobs were not deleted; it is tried again in an hour", "error", err)
			}
		}
	}
}

// Round deletes, once, what nobody refers to.
func (c *Collector) Round(ctx context.Context) error {
	c.round.Lock()
	defer c.round.Unlock()
	began := time.Now()
	var now task.Millis
	c.node.View(func(s *state.State) { now = s.Cluster().Now })
	gone, err := c.collect(ctx, now-Kept)
	if gone.Blobs > 0 {
		c.log.Info("deleted blobs that nobody refers to", "blobs", gone.Blobs, "bytes", gone.Bytes)
	}
	c.note(Report{Now: now, Took: time.Since(began), Gone: gone, Failed: textOf(err)})
	return err
}

// textOf is what an error says; "" for none.
func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (c *Collector) collect(ctx context.Context, since task.Millis) (Deleted, error) {
	l, err := c.gather(ctx, since, func() (bool, error) { return c.outputs.hasUnasked(ctx, since, c.sealed.outputs.has) })
	if err != nil {
		return Deleted{}, fmt.Errorf("what is in use is not known: %w", err)
	}
	public, err := c.public.collect(ctx, since, func(d task.Digest) bool { return l.public.has(d) || c.sealed.public.has(d) })
	if !l.reports {
		return public, err
	}
	outputs, err2 := c.outputs.collect(ctx, since, func(d task.Digest) bool { return l.outputs.has(d) || c.sealed.outputs.has(d) })
	return Deleted{public.Blobs + outputs.Blobs, public.Bytes + outputs.Bytes}, errors.Join(err, err2)
}
