package collect

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/pace"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

const (
	// slotsAtOnce and chunksAtOnce bound what is looked at while the state stands still.
	slotsAtOnce  = 4096
	chunksAtOnce = 4096

	maxListBytes  = 1 << 20 // of a list of outputs: 1,026 names of 255 bytes
	maxIndexBytes = 8 << 20 // of the list of an index's pages
	maxPageBytes  = 8 << 20 // of a page

	// eachRead is what a read costs beside its bytes, in bytes.
	eachRead = 4 << 10
)

// emptyOutputs is the list of a program that left nothing behind.
var emptyOutputs = task.OutputList{}.Digest()

// live is what the state refers to and may stop to: it is gathered anew in each
// round. What sealed chunks refer to stays, and is gathered once.
type live struct {
	public, outputs set
	reports         bool // those of unsealed chunks are among outputs
}

// sealed is what sealed chunks refer to.
type sealed struct {
	live
	seen map[task.StageID][]uint64 // two bits for each chunk: its pack was read, that of its late tasks too
}

// bitOf is which bit of a stage says that a part of it was read.
func bitOf(p state.Part) uint64 {
	if p.Late {
		return 2*p.Chunk + 1
	}
	return 2 * p.Chunk
}

func (s *sealed) has(stage task.StageID, p state.Part) bool {
	words, bit := s.seen[stage], bitOf(p)
	return bit/64 < uint64(len(words)) && words[bit/64]>>(bit%64)&1 == 1
}

func (s *sealed) note(stage task.StageID, p state.Part) {
	words, bit := s.seen[stage], bitOf(p)
	for uint64(len(words)) <= bit/64 {
		words = append(words, 0)
	}
	words[bit/64] |= 1 << (bit % 64)
	s.seen[stage] = words
}

// walk finds what the state refers to.
type walk struct {
	node   Node
	blobs  Blobs
	pacer  *pace.Pacer
	sealed sealed
}

func newWalk(node Node, blobs Blobs, bytesPerSecond int64) walk {
	return walk{node: node, blobs: blobs, pacer: pace.New(bytesPerSecond), sealed: sealed{seen: map[task.StageID][]uint64{}}}
}

// gather finds what the state refers to. The lists of reports are read only
// where unknown says that there is something among the outputs that may be
// deleted, beside what sealed chunks refer to: mostly all of
// them are small, or in packs. Reports are looked at before packs:
// what an attempt's record refers to may pass to its chunk's pack meanwhile, never the
// other way.
func (c *walk) gather(ctx context.Context, since task.Millis, unknown func() (bool, error)) (*live, error) {
	l := &live{}
	if err := c.gatherSealed(ctx); err != nil {
		return nil, err
	}
	ask, err := unknown()
	if err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context, *live) error{
		func(ctx context.Context, l *live) error {
			if !ask {
				return nil
			}
			l.reports = true
			return c.gatherReports(ctx, l)
		},
		func(ctx context.Context, l *live) error { return c.gatherJobs(ctx, l, since) },
		func(ctx context.Context, _ *live) error { return c.gatherSealed(ctx) },
	} {
		if err := step(ctx, l); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// gatherReports finds the outputs of results whose records are in memory.
func (c *walk) gatherReports(ctx context.Context, l *live) error {
	type report struct {
		slot uint64
		list task.Digest
	}
	for from, slots := uint64(0), uint64(1); from < slots; from += slotsAtOnce {
		var reports []report
		c.node.View(func(s *state.State) {
			slots = s.AttemptSlots()
			s.ReportedOutputs(from, from+slotsAtOnce, func(slot uint64, list task.Digest) {
				reports = append(reports, report{slot, list})
			})
		})
		read := map[task.Digest]bool{}
		for _, r := range reports {
			if read[r.list] {
				continue
			}
			read[r.list] = true
			err := c.addList(ctx, l, r.list)
			if errors.Is(err, storage.ErrNotFound) && !c.stillReported(r.slot, r.list) {
				continue // its chunk was sealed meanwhile
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *walk) stillReported(slot uint64, list task.Digest) (still bool) {
	c.node.View(func(s *state.State) {
		s.ReportedOutputs(slot, slot+1, func(_ uint64, now task.Digest) { still = now == list })
	})
	return still
}

// addList adds a list of outputs and the files that it names.
func (c *walk) addList(ctx context.Context, l *live, digest task.Digest) error {
	l.outputs.add(digest)
	if digest == emptyOutputs {
		return nil
	}
	b, err := c.read(ctx, c.blobs.ReadOutput, "list of outputs", digest, maxListBytes)
	if err != nil {
		return err
	}
	list, err := task.DecodeOutputList(b)
	if err != nil {
		return fmt.Errorf("list of outputs %s: %w", digest, err)
	}
	for _, f := range list {
		l.outputs.add(f.Digest)
	}
	return nil
}

func (c *walk) read(ctx context.Context, read func(context.Context, task.Digest, int64) ([]byte, error), what string, digest task.Digest, limit int64) ([]byte, error) {
	b, err := read(ctx, digest, limit)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", what, digest, err)
	}
	return b, c.pacer.Wait(ctx, len(b)+eachRead)
}

// index is the list of pages of one level of a job that may still be read.
type index struct {
	level uint8
	list  task.Digest
}

// gatherJobs finds programs, inputs, and indexes with what their pages name.
func (c *walk) gatherJobs(ctx context.Context, l *live, since task.Millis) error {
	var indexes []index
	var jobs task.JobNumber
	c.node.View(func(s *state.State) {
		s.ProgramDigests(l.public.add)
		jobs = s.Jobs()
	})
	for n := task.JobNumber(1); n <= jobs; n++ {
		c.node.View(func(s *state.State) {
			if !s.NeedsInputs(n, since) {
				return
			}
			s.InputDigests(n, l.public.add)
			j, _ := s.Job(n)
			for _, id := range j.Stages {
				if st := s.Stage(id); !st.Index.IsZero() {
					indexes = append(indexes, index{st.Level, st.Index})
				}
			}
		})
	}
	for _, x := range indexes {
		if err := c.addIndex(ctx, l, x); err != nil {
			return err
		}
	}
	return nil
}

func (c *walk) addIndex(ctx context.Context, l *live, x index) error {
	l.public.add(x.list)
	list, err := c.read(ctx, c.blobs.ReadPublic, "index", x.list, maxIndexBytes)
	if err != nil {
		return err
	}
	for k := range uint64(len(list) / len(task.Digest{})) {
		digest, err := task.PageDigest(list, k)
		if err != nil {
			return fmt.Errorf("index %s: %w", x.list, err)
		}
		l.public.add(digest)
		if x.level == 0 {
			continue // a page of lines names no blob
		}
		b, err := c.read(ctx, c.blobs.ReadPublic, "index page", digest, maxPageBytes)
		if err != nil {
			return err
		}
		page, err := task.DecodeReducePage(b)
		if err != nil {
			return fmt.Errorf("index page %s: %w", digest, err)
		}
		for _, in := range page.Inputs {
			for _, f := range in.Outputs {
				l.public.add(f.Digest)
			}
		}
	}
	return nil
}

// gatherSealed adds what was sealed since the last round.
func (c *walk) gatherSealed(ctx context.Context) error {
	var stages task.StageID
	c.node.View(func(s *state.State) { stages = s.Stages() })
	for stage := task.StageID(1); stage <= stages; stage++ {
		for from, more := uint64(0), true; more; from += chunksAtOnce {
			var fresh []state.Part
			c.node.View(func(s *state.State) {
				more = s.SealedParts(stage, from, from+chunksAtOnce, func(p state.Part) {
					if !c.sealed.has(stage, p) {
						fresh = append(fresh, p)
					}
				})
			})
			for _, p := range fresh {
				c.sealed.public.add(p.Sheaf)
				if err := c.addPack(ctx, p.Pack); err != nil {
					return err
				}
				c.sealed.note(stage, p)
			}
		}
	}
	return nil
}

// addPack adds a pack and the large outputs that its lists name.
func (c *walk) addPack(ctx context.Context, digest task.Digest) error {
	if digest.IsZero() {
		return nil
	}
	c.sealed.outputs.add(digest)
	b, err := c.blobs.OpenOutput(ctx, digest)
	if err != nil {
		return fmt.Errorf("pack %s: %w", digest, err)
	}
	defer b.Close()
	x, err := sheaves.ReadPackIndex(b, b.Size())
	if err != nil {
		return fmt.Errorf("pack %s: %w", digest, err)
	}
	for k := range x.Tasks() {
		if err := c.addPart(ctx, b, x, k); err != nil {
			return fmt.Errorf("pack %s: %w", digest, err)
		}
	}
	return c.pacer.Wait(ctx, eachRead)
}

// addPart adds what the k-th task of a pack left that is not in the pack.
func (c *walk) addPart(ctx context.Context, pack storage.Blob, x *sheaves.PackIndex, k uint64) error {
	at, part := x.Part(k)
	if part.List == 0 {
		return nil
	}
	if part.List > maxListBytes {
		return fmt.Errorf("%w: a list of %d bytes", sheaves.ErrBadPack, part.List)
	}
	b := make([]byte, part.List)
	if _, err := pack.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	list, err := task.DecodeOutputList(b)
	if err != nil {
		return err
	}
	for _, f := range list {
		if f.Size > sheaves.MaxPacked {
			c.sealed.outputs.add(f.Digest)
		}
	}
	return c.pacer.Wait(ctx, len(b))
}
