package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/coordinator/backup"
	"github.com/sheafgrid/sheaf/coordinator/collect"
	"github.com/sheafgrid/sheaf/internal/diskwatch"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/reserve"
	"github.com/sheafgrid/sheaf/task"
)

// writeBlobs fills the stores, and makes sure that everything is there that the
// state needs.
func (r *restorer) writeBlobs(ctx context.Context) (err error) {
	stores, err := openStores(ctx, &Config{Dir: r.cfg.Dir, Quota: r.cfg.Quota, Logger: r.log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stores.close()) }()
	f := &filling{stores: stores}
	m, err := backup.Read(ctx, r.cfg.File, f)
	if err == nil {
		err = f.flush(ctx)
	}
	if err == nil && m != r.manifest {
		err = fmt.Errorf("%s changed while it was read", r.cfg.File)
	}
	if err != nil {
		return err
	}
	needed := &shelves{stores: stores}
	if err := backup.Walk(ctx, r.state, needed); err != nil {
		return err
	}
	if needed.missing > 0 {
		return fmt.Errorf("%s: %w: %d blobs that the cluster needs are not in it, the first is %s (%s)", r.cfg.File, backup.ErrDamaged, needed.missing, needed.first.Digest, needed.first.For)
	}
	return nil
}

// filling puts a backup's blobs into the stores of a node.
type filling struct {
	stores *stores
	area   backup.Area
	small  []storage.Small
	bytes  int
}

// fillBytes is how many bytes of small blobs are written with one sync.
const fillBytes = 8 << 20

// Small implements backup.Visitor.
func (f *filling) Small(ctx context.Context, a backup.Area, b storage.Small) error {
	if a != f.area || f.bytes > fillBytes {
		if err := f.flush(ctx); err != nil {
			return err
		}
	}
	f.area, f.bytes = a, f.bytes+len(b.Bytes)+64
	f.small = append(f.small, b)
	return nil
}

func (f *filling) flush(ctx context.Context) error {
	if len(f.small) == 0 {
		return nil
	}
	err := f.stores.of(f.area).PutBatch(ctx, f.small)
	f.small, f.bytes = nil, 0
	return err
}

// Large implements backup.Visitor.
func (f *filling) Large(ctx context.Context, a backup.Area, d task.Digest, size int64, r io.Reader) error {
	return f.stores.of(a).Put(ctx, d, size, r)
}

// Snapshot implements backup.Visitor: the state was read before.
func (f *filling) Snapshot(_ context.Context, _ uint64, _ int64, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// stores are a node's own blobs.
type stores struct {
	public, outputs storage.Blobs
	close           func() error
}

func (s *stores) of(a backup.Area) storage.Blobs {
	if a == backup.Public {
		return s.public
	}
	return s.outputs
}

// openStores opens the stores of a data folder, and makes them where need be.
func openStores(ctx context.Context, cfg *Config) (*stores, error) {
	public, err := openPublic(ctx, cfg)
	if err != nil {
		return nil, err
	}
	clock, err := collect.OpenClock("") // nothing is deleted here
	if err != nil {
		return nil, errors.Join(err, public.Close())
	}
	room := reserve.NewDisk(0, nil) // a full disk is told by the disk itself
	results, err := openOutputs(ctx, cfg, outputParts{clock: clock, room: room, disk: diskwatch.New()})
	if err != nil {
		return nil, errors.Join(err, public.Close())
	}
	return &stores{public: public, outputs: results, close: func() error { return errors.Join(public.Close(), results.Close()) }}, nil
}

// shelves is the library of a node's own blobs: it looks for what is needed.
type shelves struct {
	stores  *stores
	found   int64
	missing int64
	spent   int64 // missing, and needed by nothing that goes on
	first   backup.Needed
	wrong   func(error) // is told of a blob that cannot be what it is needed for; nil: that ends the search
}

// Sealed implements backup.Library.
func (*shelves) Sealed(task.Digest) bool { return false }

// Complete implements backup.Library.
func (*shelves) Complete(task.Digest) error { return nil }

// Take implements backup.Library.
func (s *shelves) Take(ctx context.Context, needed []backup.Needed) error {
	for _, n := range needed {
		ok, err := s.stores.of(n.Area).Has(ctx, n.Digest)
		if err != nil {
			return err
		}
		s.note(n, ok)
	}
	return nil
}

func (s *shelves) note(n backup.Needed, found bool) {
	switch {
	case found:
		s.found++
	case n.Spent:
		s.spent++
	default:
		if s.missing == 0 {
			s.first = n
		}
		s.missing++
	}
}

// maxNeeded bounds what Walk asks to read: a sheaf, or an index.
const maxNeeded = 4 << 30

// Open implements backup.Library. A damaged blob is as good as none.
func (s *shelves) Open(ctx context.Context, needed []backup.Needed, fn func(int, []byte) error) error {
	for i, n := range needed {
		b, err := storage.ReadAll(ctx, s.stores.of(n.Area), n.Digest, maxNeeded)
		lost := errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrCorrupt)
		if err != nil && !lost {
			return err
		}
		s.note(n, !lost)
		if lost {
			continue
		}
		if err := s.judge(fn(i, b)); err != nil {
			return err
		}
	}
	return nil
}

// Read implements backup.Library.
func (s *shelves) Read(ctx context.Context, n backup.Needed, fn func(io.Reader) error) error {
	b, err := s.stores.of(n.Area).Open(ctx, n.Digest)
	lost := errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrCorrupt)
	if err != nil && !lost {
		return err
	}
	s.note(n, !lost)
	if lost {
		return nil
	}
	defer b.Close()
	return s.judge(fn(io.NewSectionReader(b, 0, b.Size())))
}

// judge passes on what is wrong with a blob.
func (s *shelves) judge(err error) error {
	if err == nil || s.wrong == nil || errors.Is(err, context.Canceled) {
		return err
	}
	s.wrong(err)
	return nil
}
