package coordinator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sheafgrid/sheaf/coordinator/blobs"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/segments"
	"github.com/sheafgrid/sheaf/storage/tiered"
)

// smallOutputs is the folder of outputs that share files.
const smallOutputs = "segments"

// outputs keeps what hosts returned: small outputs, and the lists of all, in
// segments; large ones each by itself.
type outputs struct {
	*tiered.Store
	small  *segments.Store
	large  *dir.Store
	broken chan error // the first error after which the segments take nothing more
}

func openOutputs(ctx context.Context, cfg *Config) (*outputs, error) {
	small, err := segments.Open(ctx, segments.Config{Path: filepath.Join(cfg.Dir, smallOutputs), Quota: cfg.Quota})
	if err != nil {
		return nil, err
	}
	if d := small.Damage(); d != (segments.Damage{}) {
		cfg.Logger.Warn("outputs are damaged; what is lost is fetched from other coordinators when it is read", "folder", smallOutputs, "damage", fmt.Sprintf("%+v", d))
	}
	large, err := dir.Open(ctx, dir.Config{Path: filepath.Join(cfg.Dir, string(blobs.Outputs)), Quota: cfg.Quota})
	if err != nil {
		return nil, errors.Join(err, small.Close())
	}
	return &outputs{Store: tiered.New(small, large), small: small, large: large, broken: make(chan error, 1)}, nil
}

// PutBatch stores small outputs. A disk that fails ends the node: it must not
// go on as if it could keep what it takes.
func (o *outputs) PutBatch(ctx context.Context, batch []storage.Small) error {
	err := o.Store.PutBatch(ctx, batch)
	if err != nil && ctx.Err() == nil && !errors.Is(err, storage.ErrNoSpace) && !errors.Is(err, storage.ErrMismatch) && !errors.Is(err, storage.ErrTooLarge) {
		select {
		case o.broken <- err:
		default:
		}
	}
	return err
}

// watch returns when the outputs can no longer be kept, or ctx ends.
func (o *outputs) watch(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-o.broken:
		return fmt.Errorf("outputs cannot be kept: %w", err)
	}
}

// Close closes both parts.
func (o *outputs) Close() error { return errors.Join(o.small.Close(), o.large.Close()) }
