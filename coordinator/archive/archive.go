// Package archive reads released results, wherever they are: from the state and
// from single blobs, or, once a chunk is sealed, from its sheaf and its pack.
//
// It keeps the sheaves, and the indexes of packs, that it read last in memory,
// bounded, and nothing else; it starts no goroutine.
package archive

import (
	"context"
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
	packs   recent[sheaves.PackIndex]
}

// New makes an archive of a node's state, the blobs that hold its sheaves, and
// those that are outputs.
func New(node Node, blobs, outputs Blobs) *Archive {
	return &Archive{node: node, blobs: blobs, outputs: outputs}
}

// Chunk is what is known of a released chunk, or nil where it is not released.
// The sheaf is shared: nobody may change it.
func (a *Archive) Chunk(ctx context.Context, stage task.StageID, chunk uint64) (*sheaves.Sheaf, error) {
	var digest, root task.Digest
	var collected *sheaves.Sheaf
	a.node.View(func(s *state.State) {
		k, ok := s.Chunk(stage, chunk)
		if ok && k.Sealed {
			digest, root = k.Sheaf, k.Root
		} else {
			collected = s.Collect(stage, chunk)
		}
	})
	if digest.IsZero() { // not sealed, or nothing was to be kept
		return collected, nil
	}
	if s := a.sheaves.get(digest); s != nil {
		return s, nil
	}
	b, err := a.blobs.ReadAll(ctx, digest, sheaves.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("sheaf %s: %w", digest.Short(), err)
	}
	s, err := sheaves.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("sheaf %s: %w", digest.Short(), err)
	}
	if s.Root() != root {
		return nil, fmt.Errorf("sheaf %s: its results are not those that were released", digest.Short())
	}
	a.sheaves.keep(digest, s)
	return s, nil
}

// Task is what is known of one task, or nil where it is not released.
func (a *Archive) Task(ctx context.Context, stage task.StageID, i uint64) (*sheaves.Task, error) {
	s, err := a.Chunk(ctx, stage, i/state.ChunkTasks)
	if s == nil || err != nil || i-s.First >= uint64(len(s.Tasks)) {
		return nil, err
	}
	return &s.Tasks[i-s.First], nil
}
