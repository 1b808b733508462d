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

// eachChange is what putting a blob aside, or dropping it, costs beside its
// bytes, in bytes.
const eachChange = 64 << 10

// maxWait is what a blob counts at most for the pace, in bytes: what is in use
// was found when the round began, and should not be too old.
const maxWait = 1 << 30

const (
	// asideLate is how old the stamp of a blob may be when its removal is allowed.
	// A copy takes time.
	asideLate task.Millis = 60 * 60 * 1000

	// asideKept is how old a stamp is when what was put aside is dropped: whoever
	// put the blob, or found it, just before its removal has it for Kept.
	asideKept = Kept + asideLate + task.Millis(storage.AsideWithin/time.Millisecond)
)

// Leader is the consensus node of a SharedCollector.
type Leader interface {
	Node
	// Now is cluster time by the leader's clock.
	Now() task.Millis
	// Verify returns nil if this node was the leader at some moment of the call.
	Verify(ctx context.Context) error
}

// SharedConfig is what a SharedCollector is made of.
type SharedConfig struct {
	Node    Leader
	Blobs   Blobs
	Public  storage.Shared
	Outputs storage.Shared
	Pace    int64 // bytes a second that a round reads, and copies; 0: without limit
	Logger  *slog.Logger
}

// SharedCollector deletes what nobody refers to from stores that all nodes
// share. It is the leader's to run.
type SharedCollector struct {
	walk
	reporting
	leader          Leader
	public, outputs storage.Shared
	log             *slog.Logger

	round sync.Mutex // one at a time
	ages  ages
}

// NewShared makes a collector; nothing runs yet.
func NewShared(cfg SharedConfig) *SharedCollector {
	return &SharedCollector{
		walk: newWalk(cfg.Node, cfg.Blobs, cfg.Pace), leader: cfg.Node, public: cfg.Public, outputs: cfg.Outputs, log: cfg.Logger,
	}
}

// Run does a round every hour until ctx, which is the leader's term, ends.
func (c *SharedCollector) Run(ctx context.Context) error { return hourly(ctx, c.log, c.Round) }

// Round looks once for what nobody refers to.
func (c *SharedCollector) Round(ctx context.Context) error {
	c.round.Lock()
	defer c.round.Unlock()
	began := time.Now()
	did := Report{Now: c.leader.Now()}
	c.ages.begin()
	err := c.look(ctx, &did)
	c.ages.end(err == nil)
	did.Took, did.Failed = time.Since(began), textOf(err)
	c.note(did)
	if did.Aside.Blobs > 0 || did.Gone.Blobs > 0 || did.Broken > 0 {
		c.log.Info("looked for blobs that nobody refers to", "put_aside", did.Aside.Blobs, "deleted", did.Gone.Blobs, "bytes", did.Gone.Bytes, "unfinished", did.Broken)
	}
	return err
}

// look does the work of a round.
func (c *SharedCollector) look(ctx context.Context, did *Report) error {
	if err := c.leader.Verify(ctx); err != nil {
		return fmt.Errorf("this node may lead no more: %w", err)
	}
	// What a job read counts as not referred to from its end on: it is put aside
	// when it has been for Kept, as everything else.
	var now task.Millis
	c.node.View(func(s *state.State) { now = s.Cluster().Now })
	l, err := c.gather(ctx, now, func() (bool, error) { return c.hasUnknown(ctx) })
	if err != nil {
		return fmt.Errorf("what is in use is not known: %w", err)
	}
	areas := []sharedArea{
		{"blobs", c.public, true, func(d task.Digest) bool { return l.public.has(d) || c.sealed.public.has(d) }},
		{"outputs", c.outputs, l.reports, func(d task.Digest) bool { return l.outputs.has(d) || c.sealed.outputs.has(d) }},
	}
	for _, a := range areas {
		if !a.known {
			continue
		}
		if err := c.lookAside(ctx, a, did); err != nil {
			return fmt.Errorf("what was put aside: %w", err)
		}
		if err := c.lookThrough(ctx, a, did); err != nil {
			return fmt.Errorf("putting unused blobs aside: %w", err)
		}
	}
	for _, a := range areas {
		if err := c.lookUnfinished(ctx, a, did); err != nil {
			return fmt.Errorf("unfinished uploads: %w", err)
		}
	}
	return nil
}

// sharedArea is one of the two stores, and what is in use of it.
type sharedArea struct {
	name  string
	store storage.Shared
	known bool // what is in use
	live  func(task.Digest) bool
}

// hasUnknown reports whether there is an output, in its place or aside, that no
// sealed chunk refers to.
func (c *SharedCollector) hasUnknown(ctx context.Context) (bool, error) {
	look := func(d task.Digest) error {
		if c.sealed.outputs.has(d) {
			return nil
		}
		return errFound
	}
	err := c.outputs.List(ctx, func(d task.Digest, _ int64) error { return look(d) })
	if err == nil {
		err = c.outputs.ListAside(ctx, func(a storage.Aside) error { return look(a.Digest) })
	}
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

// lookAside brings back what somebody began to refer to while it was put aside,
// and drops what has been there for long.
func (c *SharedCollector) lookAside(ctx context.Context, a sharedArea, did *Report) error {
	return a.store.ListAside(ctx, func(x storage.Aside) error {
		if a.live(x.Digest) {
			if _, err := a.store.Has(ctx, x.Digest); err != nil { // brings it back
				return err
			}
		}
		// As of the beginning of the round: what is in use was looked up after it, and a
		// round over a large bucket may take days.
		if task.Millis(x.Stamp) > did.Now-asideKept {
			return nil
		}
		if err := c.pacer.Wait(ctx, eachChange); err != nil {
			return err
		}
		if err := a.store.DropAside(ctx, x); err != nil {
			return err
		}
		did.Gone.count(x.Size)
		return nil
	})
}

// lookThrough puts aside what nobody has referred to for long.
func (c *SharedCollector) lookThrough(ctx context.Context, a sharedArea, did *Report) error {
	var failed error // of the first blob; the others are looked at all the same
	err := a.store.List(ctx, func(d task.Digest, size int64) error {
		if a.live(d) {
			return nil
		}
		now := c.leader.Now()
		if c.ages.seen(ageOf(a.name, string(d[:])), now) > now-Kept {
			return nil
		}
		if err := c.pacer.Wait(ctx, int(min(size, maxWait))+eachChange); err != nil {
			return err
		}
		stamp := c.leader.Now()
		if err := a.store.PutAside(ctx, d, int64(stamp), func() error { return c.mayRemove(ctx, stamp) }); err != nil {
			if ctx.Err() != nil || c.leader.Verify(ctx) != nil {
				return err
			}
			if failed == nil {
				failed = err
			}
			return nil
		}
		did.Aside.count(size)
		return nil
	})
	return errors.Join(err, failed)
}

// mayRemove allows a removal. A node that leads now has a clock that is not
// behind that of the cluster, so the copy is dropped no sooner than Kept after
// the removal can happen, by any later leader's clock.
func (c *SharedCollector) mayRemove(ctx context.Context, stamp task.Millis) error {
	if err := c.leader.Verify(ctx); err != nil {
		return fmt.Errorf("this node may lead no more: %w", err)
	}
	if c.leader.Now()-stamp > asideLate {
		return errors.New("copying a blob took more than an hour")
	}
	return nil
}

// lookUnfinished ends uploads that have not gone on for long.
func (c *SharedCollector) lookUnfinished(ctx context.Context, a sharedArea, did *Report) error {
	return a.store.ListUnfinished(ctx, func(u storage.Unfinished) error {
		now := c.leader.Now()
		if c.ages.seen(ageOf(a.name+" unfinished", u.Name+"\x00"+u.State), now) > now-Kept {
			return nil
		}
		if err := c.pacer.Wait(ctx, eachChange); err != nil {
			return err
		}
		if err := a.store.DropUnfinished(ctx, u); err != nil {
			return err
		}
		did.Broken++
		return nil
	})
}
