package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/pace"
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
	node            Node
	blobs           Blobs
	public, outputs *Store
	pacer           *pace.Pacer
	log             *slog.Logger

	round  sync.Mutex // one at a time
	sealed sealed

	mu   sync.Mutex
	last Report
}

// Report says how the last round went.
type Report struct {
	Rounds int64       // so far, failed ones included
	Now    task.Millis // cluster time of the state that was walked
	Took   time.Duration
	Gone   Deleted // by all rounds since the process began
	Failed string  // why the last round deleted nothing; "": it did what was to be done
}

// New makes a collector; nothing runs yet.
func New(cfg Config) *Collector {
	return &Collector{
		node: cfg.Node, blobs: cfg.Blobs, public: cfg.Public, outputs: cfg.Outputs, pacer: pace.New(cfg.Pace), log: cfg.Logger,
		sealed: sealed{seen: map[task.StageID][]uint64{}},
	}
}

// Run does a round every hour until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := c.Round(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("unused blobs were not deleted; it is tried again in an hour", "error", err)
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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last.Rounds++
	c.last.Now, c.last.Took, c.last.Failed = now, time.Since(began), ""
	c.last.Gone.Blobs += gone.Blobs
	c.last.Gone.Bytes += gone.Bytes
	if err != nil {
		c.last.Failed = err.Error()
	}
	return err
}

func (c *Collector) collect(ctx context.Context, since task.Millis) (Deleted, error) {
	l, err := c.gather(ctx, since)
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

// Report says how the last round went.
func (c *Collector) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}
