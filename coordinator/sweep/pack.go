package sweep

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// maxBuffered bounds what a pack takes in memory, in bytes. A larger one is read
// twice: for its digest, and on its way to the disks.
const maxBuffered = 32 << 20

// Of what a pack took in memory so much stays for the next one: enough for
// chunks whose outputs are small. bodyRoom is what a body takes beside its bytes.
const (
	keptRoom   = 1 << 20
	keptBodies = 4 * state.ChunkTasks
	bodyRoom   = 64
)

// packing is a pack in the making. Its memory is used again for the next one.
type packing struct {
	blobs  Blobs
	rests  *rests
	bodies []gathered       // of the chunk, as far as they fit into memory
	places map[uint64]int32 // of the bodies, by 64 bits of their digests
	room   []byte           // of the bodies gathered last
	parts  []sheaves.PackPart
	order  []packed // what comes after the header
	whole  []byte   // the pack
}

// gathered is a blob that this node keeps. Where two have the same 64 bits, one
// is read by itself.
type gathered struct {
	digest task.Digest
	body   []byte
}

// packed is a blob of the pack.
type packed struct {
	digest task.Digest
	size   int64
	body   []byte // nil: it is to be read
}

func short(d task.Digest) uint64 { return binary.LittleEndian.Uint64(d[:]) }

// end forgets the pack. Room that hardly any pack needs goes.
func (p *packing) end() {
	if max(cap(p.bodies), cap(p.order)) > keptBodies || max(cap(p.room), cap(p.whole)) > keptRoom {
		*p = packing{blobs: p.blobs, rests: p.rests}
		return
	}
	clear(p.bodies)
	clear(p.places)
	clear(p.order)
	p.bodies, p.room, p.parts, p.order, p.whole = p.bodies[:0], p.room[:0], p.parts[:0], p.order[:0], p.whole[:0]
}

// pack puts the lists of outputs of a chunk's accepted results, and what is
// small of the outputs, into one blob on a majority. Where there is nothing to
// keep its digest is zero.
func (p *packing) pack(ctx context.Context, stage task.StageID, chunk uint64, kept *sheaves.Sheaf) (task.Digest, error) {
	defer p.end()
	if p.places == nil {
		p.places = make(map[uint64]int32, 2*state.ChunkTasks)
	}
	if err := p.gather(ctx, state.OutputGroups(stage, chunk)); err != nil {
		return task.Digest{}, err
	}
	for i := range kept.Tasks {
		if err := p.add(ctx, &kept.Tasks[i]); err != nil {
			return task.Digest{}, fmt.Errorf("outputs of task %d: %w", kept.First+uint64(i), err)
		}
	}
	if len(p.order) == 0 {
		return task.Digest{}, nil
	}
	return p.store(ctx)
}

// gather reads what this node keeps of the chunk, in one go.
func (p *packing) gather(ctx context.Context, groups []uint64) error {
	left := maxBuffered
	return p.blobs.EachOutput(ctx, groups, func(d task.Digest, body []byte) error {
		if p.body(d) != nil {
			return nil // of another group too
		}
		if left -= len(body) + bodyRoom; left < 0 {
			return nil
		}
		if len(body) > cap(p.room)-len(p.room) {
			p.room = make([]byte, 0, max(keptRoom, len(body)))
		}
		p.room = append(p.room, body...)
		p.places[short(d)] = int32(len(p.bodies))
		p.bodies = append(p.bodies, gathered{d, p.room[len(p.room)-len(body):]})
		return p.rests.step(ctx)
	})
}

// add puts a task's part behind those before.
func (p *packing) add(ctx context.Context, t *sheaves.Task) error {
	if t.Missing || t.Fail != 0 {
		p.parts = append(p.parts, sheaves.PackPart{})
		return nil
	}
	if err := p.rests.step(ctx); err != nil {
		return err
	}
	list := packed{digest: t.Result.Output, body: p.body(t.Result.Output)}
	b, err := p.read(ctx, &list, maxListBytes)
	if err != nil {
		return err
	}
	files, err := task.DecodeOutputList(b)
	if err != nil {
		return err
	}
	list.size = int64(len(b))
	p.order = append(p.order, list)
	part := sheaves.PackPart{List: uint32(len(b))}
	for _, f := range files {
		if f.Size <= sheaves.MaxPacked {
			p.order = append(p.order, packed{f.Digest, f.Size, p.body(f.Digest)})
			part.Outputs += uint32(f.Size)
		}
	}
	p.parts = append(p.parts, part)
	return nil
}

// body returns a blob if it was gathered; else nil.
func (p *packing) body(digest task.Digest) []byte {
	if at, ok := p.places[short(digest)]; ok && p.bodies[at].digest == digest {
		return p.bodies[at].body
	}
	return nil
}

// read returns a blob from memory, this node's disk or a peer's.
func (p *packing) read(ctx context.Context, b *packed, limit int64) ([]byte, error) {
	if b.body != nil {
		return b.body, nil
	}
	return p.blobs.ReadOutput(ctx, b.digest, limit)
}

// write writes the pack.
func (p *packing) write(ctx context.Context, w io.Writer) error {
	if _, err := w.Write(sheaves.PackHeader(p.parts)); err != nil {
		return err
	}
	for i := range p.order {
		if err := p.rests.step(ctx); err != nil {
			return err
		}
		b := &p.order[i]
		body, err := p.read(ctx, b, b.size)
		if err != nil {
			return err
		}
		if int64(len(body)) != b.size {
			return fmt.Errorf("output %s has %d bytes, its list says %d: %w", b.digest.Short(), len(body), b.size, storage.ErrCorrupt)
		}
		if _, err := w.Write(body); err != nil {
			return err
		}
	}
	return nil
}

// store puts the pack on a majority and returns its digest.
func (p *packing) store(ctx context.Context) (task.Digest, error) {
	size := int64(len(sheaves.PackHeader(p.parts)))
	for i := range p.order {
		size += p.order[i].size
	}
	if size <= maxBuffered {
		b := bytes.NewBuffer(slices.Grow(p.whole, int(size)))
		if err := p.write(ctx, b); err != nil {
			return task.Digest{}, err
		}
		p.whole = b.Bytes()
		digest := task.Sum(p.whole)
		if err := p.rests.rest(ctx); err != nil {
			return task.Digest{}, err
		}
		err := p.blobs.PutOutput(ctx, digest, size, b)
		if err != nil {
			p.whole = nil // a bucket's client may still be reading it
		}
		return digest, err
	}
	sum := sha256.New()
	if err := p.write(ctx, sum); err != nil {
		return task.Digest{}, err
	}
	digest := task.Digest(sum.Sum(nil))
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.CloseWithError(p.write(ctx, w)) // ends when r is closed
	}()
	defer func() {
		r.Close()
		<-ended // nobody else works in p meanwhile
	}()
	return digest, p.blobs.PutOutput(ctx, digest, size, r)
}
