package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/coordinator/scrub"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/segments"
	"github.com/sheafgrid/sheaf/task"
)

// scrubPause is how long a lap over all blobs takes at least: a small store is
// not read all day.
const scrubPause = 24 * time.Hour

// newScrubber makes what looks for damage on this node's disk.
func (c *Coordinator) newScrubber() *scrub.Scrubber {
	repair := func(area blobs.Area) func(context.Context, task.Digest) error {
		return func(ctx context.Context, d task.Digest) error { return c.assembly.blobs.Repair(ctx, area, d) }
	}
	areas := []scrub.Area{{Name: smallOutputs, Scrub: scrubSegments(c.outputs.small), Repair: repair(blobs.Outputs)}}
	if c.bucket == nil { // what is in one is its server's to keep whole
		areas = append(areas,
			scrub.Area{Name: string(blobs.Public), Scrub: c.public.Scrub, Repair: repair(blobs.Public)},
			scrub.Area{Name: string(blobs.Outputs), Scrub: c.outputs.large.Scrub, Repair: repair(blobs.Outputs)})
	}
	return scrub.New(scrub.Config{
		Areas: areas,
		Pace:  c.cfg.Scrub, Pause: scrubPause, Path: filepath.Join(c.cfg.Dir, "scrub.json"), Logger: c.cfg.Logger,
	})
}

// scrubSegments reads all small blobs. They stand in no order, so an
// interrupted lap begins anew: what is small in all its parts is soon read.
func scrubSegments(s *segments.Store) func(context.Context, task.Digest, func(context.Context, int) error, func(task.Digest, error) error) error {
	return func(ctx context.Context, _ task.Digest, wait func(context.Context, int) error, each func(task.Digest, error) error) error {
		return s.Each(ctx, func(d task.Digest, size int64) error {
			if err := wait(ctx, int(size)); err != nil {
				return err
			}
			_, err := s.Get(ctx, d, segments.MaxBlobSize)
			switch {
			case errors.Is(err, storage.ErrNotFound):
				return nil // dropped meanwhile
			case err != nil && !errors.Is(err, storage.ErrCorrupt):
				return err
			}
			return each(d, err)
		})
	}
}

// uploadKept is how long the beginning of an upload is kept that nobody goes on
// with, by this machine's clock: it is this node's alone.
const uploadKept = 24 * time.Hour

// expireUploads forgets beginnings of uploads that were given up.
func (c *Coordinator) expireUploads(ctx context.Context) error {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := c.uploads.Expire(time.Now().Add(-uploadKept)); err != nil {
			c.cfg.Logger.Warn("beginnings of uploads could not be removed; it is tried again in an hour", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// serveStorage says how this node's disk stands.
func (c *Coordinator) serveStorage(w http.ResponseWriter, r *http.Request) {
	v, err := c.Storage(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a reader that went away asks again
}

// Storage says how this node's disk and the blobs on it stand.
func (c *Coordinator) Storage(ctx context.Context) (protocol.StorageView, error) {
	v := protocol.StorageView{Node: c.parts.Identity.Node, Reserve: c.disk.Floor()}
	public, err := c.public.Usage(ctx)
	outputs, err2 := c.outputs.large.Usage(ctx)
	small := c.outputs.small.Usage()
	outputs.Blobs, outputs.Bytes, outputs.Quota = outputs.Blobs+small.Blobs, outputs.Bytes+small.Bytes, outputs.Quota+small.Quota
	free, err3 := c.disk.Free()
	if err := errors.Join(err, err2, err3); err != nil {
		return v, err
	}
	v.Free = free
	v.Public = protocol.UsageView{Blobs: public.Blobs, Bytes: public.Bytes, Quota: public.Quota}
	v.Outputs = protocol.UsageView{Blobs: outputs.Blobs, Bytes: outputs.Bytes, Quota: outputs.Quota}
	if c.bucket != nil {
		v.Bucket = c.cfg.S3.Name()
	}
	s := c.scrubber.Report()
	k, _ := c.collected()
	v.Scrub = protocol.ScrubView{
		Laps: s.Laps, Blobs: s.Blobs, Bytes: s.Bytes, Damaged: s.Damaged, Repaired: s.Repaired, Lost: s.Lost,
		Area: s.Area, Percent: int(s.At[0]) * 100 / 256, Pace: c.cfg.Scrub,
	}
	v.Collect = protocol.CollectView{
		Rounds: k.Rounds, Time: k.Now, Took: k.Took.Milliseconds(), Blobs: k.Gone.Blobs, Bytes: k.Gone.Bytes,
		Aside: k.Aside.Blobs, AsideBytes: k.Aside.Bytes, Unfinished: k.Broken, Failed: k.Failed,
	}
	return v, nil
}
