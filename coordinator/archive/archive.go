// Package archive reads released results, wherever they are: from the state and
// from single blobs, or, once a chunk is sealed, from its sheaf and its pack.
//
// It keeps the sheaves, and the indexes of packs, that it read last in memory,
// bounded, and nothing else; it starts no goroutine.
package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Node is the replicated state, as the archive reads it.
type Node interface {
	View(fn func(*state.State))
}

// Blobs holds sheaves, or outputs and packs.
type Blobs interface {
	ReadAll(ctx context.Context, digest task.Digest, limit int64) ([]byte, error)
	Open(ctx context.Context, digest task.Digest) (storage.Blob, error)
}

// kept is how many sheaves are kept, decoded, and how many indexes of packs:
// about 1 MiB each.
const kept = 8

// Archive reads released results.
type Archive struct {
	node    Node
	blobs   Blobs
	outputs Blobs
	sheaves recent[sheaves.Sheaf]
	merged  recent[sheaves.Sheaf] // both sheaves of a chunk, by the later one
	packs   recent[sheaves.PackIndex]
}

// New makes an archive of a node's state, the blobs that hold its sheaves, and
// those that are outputs.
func New(node Node, blobs, outputs Blobs) *Archive {
	return &Archive{node: node, blobs: blobs, outputs: outputs}
}

// Chunk is what is known of the tasks of a chunk that are released, or nil where
// none is; late tasks are missing until they are. The sheaf is shared: nobody may
// change it.
func (a *Archive) Chunk(ctx context.Context, stage task.StageID, chunk uint64) (*sheaves.Sheaf, error) {
	var sealed []state.Part
	var all *sheaves.Sheaf // first what has records
	a.node.View(func(s *state.State) {
		s.SealedParts(stage, chunk, chunk+1, func(p state.Part) { sealed = append(sealed, p) })
		all = s.Recorded(stage, chunk, new(state.SheafRoom))
	})
	if len(sealed) == 2 {
		return a.whole(ctx, &sealed[0], &sealed[1])
	}
	for _, p := range sealed {
		kept, err := a.part(ctx, &p)
		if err == nil && all != nil {
			kept, err = sheaves.Merge(all, kept)
		}
		if err != nil {
			return nil, fmt.Errorf("sheaf %s: %w", p.Sheaf.Short(), err)
		}
		all = kept
	}
	return all, nil
}

// whole is a chunk with two sheaves.
func (a *Archive) whole(ctx context.Context, first, late *state.Part) (*sheaves.Sheaf, error) {
	if s := a.merged.get(late.Sheaf); s != nil {
		return s, nil
	}
	var parts [2]*sheaves.Sheaf
	for k, p := range []*state.Part{first, late} {
		var err error
		if parts[k], err = a.part(ctx, p); err != nil {
			return nil, fmt.Errorf("sheaf %s: %w", p.Sheaf.Short(), err)
		}
	}
	s, err := sheaves.Merge(parts[0], parts[1])
	if err == nil && !late.Completes(s) {
		err = errOther
	}
	if err != nil {
		return nil, fmt.Errorf("sheaves %s and %s: %w", first.Sheaf.Short(), late.Sheaf.Short(), err)
	}
	a.merged.keep(late.Sheaf, s)
	return s, nil
}

// errOther: a sheaf is not what the state says it is.
var errOther = errors.New("its results are not those that were released")

// part is the sheaf of what was sealed of a chunk.
func (a *Archive) part(ctx context.Context, p *state.Part) (*sheaves.Sheaf, error) {
	if s := a.sheaves.get(p.Sheaf); s != nil {
		return s, nil
	}
	b, err := a.blobs.ReadAll(ctx, p.Sheaf, sheaves.MaxBytes)
	if err != nil {
		return nil, err
	}
	kept, err := sheaves.Decode(b)
	if err != nil {
		return nil, err
	}
	if !p.Fits(kept) {
		return nil, errOther
	}
	a.sheaves.keep(p.Sheaf, kept)
	return kept, nil
}

// Task is what is known of one task, or nil where it is not released.
func (a *Archive) Task(ctx context.Context, stage task.StageID, i uint64) (*sheaves.Task, error) {
	s, err := a.Chunk(ctx, stage, i/state.ChunkTasks)
	if s == nil || err != nil {
		return nil, err
	}
	return s.Task(i), nil
}
