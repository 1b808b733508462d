package sweep

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// maxBuffered bounds what a pack takes in memory, in bytes. A larger one is read
// twice: for its digest, and on its way to the disks.
const maxBuffered = 32 << 20

// packing is a pack in the making.
type packing struct {
	blobs  Blobs
	bodies map[task.Digest][]byte // of the chunk, as far as they fit into memory
	index  []sheaves.Packed
}

// pack puts the lists of outputs of a chunk's accepted results, and what is
// small of the outputs, into one blob on a majority: a million small outputs
// are not a million files. Where there is nothing to keep its digest is zero.
func (s *Sweeper) pack(ctx context.Context, stage task.StageID, chunk uint64, kept *sheaves.Sheaf) (task.Digest, error) {
	p := packing{blobs: s.blobs, bodies: map[task.Digest][]byte{}}
	left := maxBuffered
	err := s.blobs.EachOutput(ctx, state.OutputGroup(stage, chunk*state.ChunkTasks), func(d task.Digest, body []byte) error {
		if left -= len(body); left >= 0 {
			p.bodies[d] = bytes.Clone(body)
		}
		return nil
	})
	if err != nil {
		return task.Digest{}, err
	}
	if err := p.choose(ctx, kept); err != nil || len(p.index) == 0 {
		return task.Digest{}, err
	}
	return p.store(ctx)
}

// choose lists what goes into the pack.
func (p *packing) choose(ctx context.Context, kept *sheaves.Sheaf) error {
	seen := make(map[task.Digest]bool, len(kept.Tasks))
	for i := range kept.Tasks {
		t := &kept.Tasks[i]
		if t.Fail != 0 || seen[t.Result.Output] {
			continue
		}
		seen[t.Result.Output] = true
		b, err := p.read(ctx, t.Result.Output, maxListBytes)
		if err != nil {
			return fmt.Errorf("outputs of task %d: %w", kept.First+uint64(i), err)
		}
		list, err := task.DecodeOutputList(b)
		if err != nil {
			return fmt.Errorf("outputs of task %d: %w", kept.First+uint64(i), err)
		}
		p.index = append(p.index, sheaves.Packed{Digest: t.Result.Output, Size: uint32(len(b))})
		for _, f := range list {
			if f.Size <= sheaves.MaxPacked {
				p.index = append(p.index, sheaves.Packed{Digest: f.Digest, Size: uint32(f.Size)})
			}
		}
	}
	p.index = sheaves.SortPacked(p.index)
	return nil
}

// read returns a blob from memory, this node's disk or a peer's.
func (p *packing) read(ctx context.Context, digest task.Digest, limit int64) ([]byte, error) {
	if b, ok := p.bodies[digest]; ok {
		return b, nil
	}
	return p.blobs.ReadOutput(ctx, digest, limit)
}

// write writes the pack.
func (p *packing) write(ctx context.Context, w io.Writer) error {
	if _, err := w.Write(sheaves.PackHeader(p.index)); err != nil {
		return err
	}
	for _, e := range p.index {
		b, err := p.read(ctx, e.Digest, int64(e.Size))
		if err != nil {
			return err
		}
		if len(b) != int(e.Size) {
			return fmt.Errorf("output %s has %d bytes, its list says %d: %w", e.Digest.Short(), len(b), e.Size, storage.ErrCorrupt)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// store puts the pack on a majority and returns its digest.
func (p *packing) store(ctx context.Context) (task.Digest, error) {
	size := int64(len(sheaves.PackHeader(p.index)))
	for _, e := range p.index {
		size += int64(e.Size)
	}
	if size <= maxBuffered {
		b := bytes.NewBuffer(make([]byte, 0, size))
		if err := p.write(ctx, b); err != nil {
			return task.Digest{}, err
		}
		digest := task.Sum(b.Bytes())
		return digest, p.blobs.PutOutput(ctx, digest, size, b)
	}
	sum := sha256.New()
	if err := p.write(ctx, sum); err != nil {
		return task.Digest{}, err
	}
	digest := task.Digest(sum.Sum(nil))
	r, w := io.Pipe()
	go func() { w.CloseWithError(p.write(ctx, w)) }() // ends when r is closed
	defer r.Close()
	return digest, p.blobs.PutOutput(ctx, digest, size, r)
}
