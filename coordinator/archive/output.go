package archive

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// OpenOutput opens the list of outputs of a released task, or one of the outputs:
// in the chunk's pack, or as a blob of its own.
func (a *Archive) OpenOutput(ctx context.Context, stage task.StageID, i uint64, digest task.Digest) (storage.Blob, error) {
	pack := a.packOf(stage, i)
	b, err := a.open(ctx, pack, i, digest)
	if !errors.Is(err, storage.ErrNotFound) {
		return b, err
	}
	// The chunk may have been sealed since it was looked at.
	if now := a.packOf(stage, i); now != pack {
		return a.open(ctx, now, i, digest)
	}
	return nil, err
}

// ReadOutput returns all bytes of what OpenOutput opens, limit at most.
func (a *Archive) ReadOutput(ctx context.Context, stage task.StageID, i uint64, digest task.Digest, limit int64) ([]byte, error) {
	b, err := a.OpenOutput(ctx, stage, i, digest)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if err := storage.CheckSize(digest, b.Size(), limit); err != nil {
		return nil, err
	}
	all := make([]byte, b.Size())
	if _, err := io.ReadFull(io.NewSectionReader(b, 0, b.Size()), all); err != nil {
		return nil, fmt.Errorf("output %s: %w", digest.Short(), err)
	}
	return all, nil
}

// packOf is the pack that a task is in; zero if it has none yet, or none at all.
func (a *Archive) packOf(stage task.StageID, i uint64) (pack task.Digest) {
	a.node.View(func(s *state.State) { pack = s.PackOf(stage, i) })
	return pack
}

// open looks for a blob of task i where the pack of its chunk says, or as one of
// its own.
func (a *Archive) open(ctx context.Context, pack task.Digest, i uint64, digest task.Digest) (storage.Blob, error) {
	if pack.IsZero() {
		return a.outputs.Open(ctx, digest)
	}
	b, err := a.outputs.Open(ctx, pack)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", pack.Short(), err)
	}
	part, err := a.inPack(b, pack, i, digest)
	if part != nil && err == nil {
		return part, nil
	}
	if e := b.Close(); err == nil {
		err = e
	}
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", pack.Short(), err)
	}
	return a.outputs.Open(ctx, digest) // a large one
}

// inPack finds a blob in the part of a task; it is nil where it is not there.
func (a *Archive) inPack(b storage.Blob, pack task.Digest, i uint64, digest task.Digest) (storage.Blob, error) {
	index := a.packs.get(pack)
	if index == nil {
		var err error
		if index, err = sheaves.ReadPackIndex(b, b.Size()); err != nil {
			return nil, err
		}
		a.packs.keep(pack, index)
	}
	at, part := index.Part(i % state.ChunkTasks)
	encoded := make([]byte, part.List)
	if _, err := b.ReadAt(encoded, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if task.Sum(encoded) == digest {
		return &packed{SectionReader: io.NewSectionReader(b, at, int64(part.List)), pack: b}, nil
	}
	list, err := task.DecodeOutputList(encoded)
	if err != nil {
		return nil, err
	}
	at += int64(part.List)
	for _, f := range list {
		switch {
		case f.Size > sheaves.MaxPacked:
			continue
		case f.Digest == digest:
			return &packed{SectionReader: io.NewSectionReader(b, at, f.Size), pack: b}, nil
		}
		at += f.Size
	}
	return nil, nil
}

// packed is a blob that is a part of a pack.
type packed struct {
	*io.SectionReader
	pack storage.Blob
}

// Close closes the pack.
func (p *packed) Close() error { return p.pack.Close() }
