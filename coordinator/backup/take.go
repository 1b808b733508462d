package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Source is a running cluster, read with its operator's credentials.
type Source interface {
	// Cluster says which cluster it is.
	Cluster(ctx context.Context) (task.ClusterID, error)
	// Snapshot opens the state as it is now, and says at which index that is.
	Snapshot(ctx context.Context) (index uint64, r io.ReadCloser, err error)
	// Batch calls fn with some of the blobs that are asked for, all of one area and
	// at most protocol.MaxBatch, in order, and at least with the first one that is
	// there and not larger than storage.MaxSmallSize. It calls fn for none if there
	// is none such.
	Batch(ctx context.Context, needed []Needed, fn func(i int, b []byte) error) error
	// Blob opens a whole blob, and says how many bytes it has. One that no
	// coordinator has is storage.ErrNotFound.
	Blob(ctx context.Context, area Area, digest task.Digest) (size int64, r io.ReadCloser, err error)
}

// Progress is how far a backup is.
type Progress struct {
	Blobs   int64 // in the file
	Bytes   int64 // of the file
	Sealed  int   // sheaves of which everything is in the file
	Sheaves int   // that there are
}

// snapshotTries is how often a newer snapshot is taken because a blob that an
// older one needed has gone meanwhile, or the leader went away while it sent it.
const snapshotTries = 5

// Take backs a cluster up into a file at path. Until it is whole it has another
// name; Take goes on with it when it is called again.
func Take(ctx context.Context, src Source, path string, progress func(Progress)) (Manifest, error) {
	cluster, err := src.Cluster(ctx)
	if err != nil {
		return Manifest{}, err
	}
	w, err := openWriter(ctx, path, cluster)
	if err != nil {
		return Manifest{}, err
	}
	m, err := w.take(ctx, src, progress)
	if err == nil {
		err = w.name()
	} else {
		err = errors.Join(err, w.flush()) // what came is not to come again
	}
	if e := w.close(); err == nil {
		err = e
	}
	if err != nil {
		return Manifest{}, err
	}
	checked, err := Check(ctx, path)
	if err == nil && checked != m {
		err = fmt.Errorf("%s: %w: it does not read as it was written", path, ErrDamaged)
	}
	return m, err
}

func (w *writer) take(ctx context.Context, src Source, progress func(Progress)) (Manifest, error) {
	// Under a name of its own, so that a later run takes away what a killed one left.
	spool, err := os.OpenFile(w.path+stateSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return Manifest{}, err
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	for try := 1; ; try++ {
		m, size, err := w.takeOnce(ctx, src, spool, progress)
		again := errors.Is(err, storage.ErrNotFound) || errors.Is(err, errSnapshot)
		if again && try < snapshotTries && ctx.Err() == nil {
			continue // with a newer snapshot
		}
		if err != nil {
			return Manifest{}, err
		}
		if _, err := spool.Seek(0, io.SeekStart); err != nil {
			return Manifest{}, err
		}
		return w.finish(m, size, spool)
	}
}

// takeOnce takes a snapshot, and everything that it needs.
func (w *writer) takeOnce(ctx context.Context, src Source, spool *os.File, progress func(Progress)) (m Manifest, size int64, err error) {
	s, m, size, err := fetchState(ctx, src, spool)
	if err != nil {
		return m, 0, err
	}
	if s.Cluster().ID != w.counts.Cluster {
		return m, 0, fmt.Errorf("the snapshot is of cluster %s, not of %s", s.Cluster().ID, w.counts.Cluster)
	}
	t := &taking{writer: w, src: src, told: progress}
	for n := task.JobNumber(1); n <= s.Jobs(); n++ {
		j, _ := s.Job(n)
		for _, id := range j.Stages {
			s.SealedParts(id, 0, s.Stage(id).Cursor, func(state.Part) { t.sheaves++ })
		}
	}
	err = Walk(ctx, s, t)
	m.Gone = t.gone
	return m, size, err
}

// errSnapshot: a snapshot did not come whole.
var errSnapshot = errors.New("the cluster's snapshot did not come whole")

// fetchState spools a snapshot and reads the state in it.
func fetchState(ctx context.Context, src Source, spool *os.File) (*state.State, Manifest, int64, error) {
	m := Manifest{Wall: time.Now().UnixMilli()}
	index, r, err := src.Snapshot(ctx)
	if err != nil {
		return nil, m, 0, err
	}
	defer r.Close()
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return nil, m, 0, err
	}
	if err := spool.Truncate(0); err != nil {
		return nil, m, 0, err
	}
	s, err := ReadState(io.TeeReader(r, spool))
	if err != nil {
		return nil, m, 0, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	size, err := spool.Seek(0, io.SeekCurrent)
	m.Index, m.State, m.Now = index, s.Digest(), s.Cluster().Now
	return s, m, size, err
}

// taking is the library that takes blobs out of a cluster into a backup.
type taking struct {
	*writer
	src     Source
	told    func(Progress)
	sheaves int
	gone    int64
}

// key is how the file knows a blob.
func (n *Needed) key() blobKey {
	if n.Size > maxPacked {
		return blobKey{n.Area, n.Digest, 0}
	}
	return blobKey{n.Area, n.Digest, n.Group()}
}

// Sealed implements Library.
func (t *taking) Sealed(sheaf task.Digest) bool { return t.writer.sealed[sheaf] }

// Complete implements Library.
func (t *taking) Complete(sheaf task.Digest) error { return t.complete(sheaf) }

// Take implements Library.
func (t *taking) Take(ctx context.Context, needed []Needed) error {
	var small []Needed
	for _, n := range needed {
		switch {
		case t.has.has(n.key()):
		case n.Size > maxPacked:
			if err := t.Read(ctx, n, nil); err != nil {
				return err
			}
		default:
			small = append(small, n)
		}
	}
	return t.fetch(ctx, small, func(n Needed, b []byte) error { return t.small(n.key(), b) })
}

// Open implements Library. What the file has already is fetched again: it is
// little, and the file is being written.
func (t *taking) Open(ctx context.Context, needed []Needed, fn func(int, []byte) error) error {
	contents := make(map[task.Digest][]byte, len(needed))
	err := t.fetch(ctx, needed, func(n Needed, b []byte) error {
		contents[n.Digest] = b
		if t.has.has(n.key()) {
			return nil
		}
		return t.small(n.key(), b)
	})
	for i, n := range needed {
		if b, ok := contents[n.Digest]; ok && err == nil {
			err = fn(i, b)
		}
	}
	return err
}

// Read implements Library.
func (t *taking) Read(ctx context.Context, n Needed, fn func(io.Reader) error) error {
	size, r, err := t.src.Blob(ctx, n.Area, n.Digest)
	if err != nil {
		return t.absent(n, err)
	}
	defer r.Close()
	if n.Size != UnknownSize && size != n.Size {
		return fmt.Errorf("%s, %s: %w: it has %d bytes instead of %d", n.For, n.Digest, storage.ErrMismatch, size, n.Size)
	}
	err = t.large(n.Area, n.Digest, size, func(w io.Writer) error {
		tee := io.TeeReader(r, w)
		if fn != nil {
			if err := fn(tee); err != nil {
				return err
			}
		}
		_, err := io.Copy(io.Discard, tee)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s, %s: %w", n.For, n.Digest, err)
	}
	t.tell()
	return nil
}

// fetch gets blobs that fit into memory, many with one request.
func (t *taking) fetch(ctx context.Context, needed []Needed, add func(Needed, []byte) error) error {
	for len(needed) > 0 {
		rest, err := t.batch(ctx, needed, add)
		if err != nil {
			return err
		}
		needed = rest
		t.tell()
	}
	return nil
}

// batch gets some blobs, at least one, and returns the rest.
func (t *taking) batch(ctx context.Context, needed []Needed, add func(Needed, []byte) error) ([]Needed, error) {
	n := 1
	for n < min(len(needed), protocol.MaxBatch) && needed[n].Area == needed[0].Area {
		n++
	}
	asked := needed[:n]
	got := make([]bool, n)
	found, last := 0, 0
	err := t.src.Batch(ctx, asked, func(i int, b []byte) error {
		if i < last || i >= n || task.Sum(b) != asked[i].Digest {
			return fmt.Errorf("blob %s: %w", asked[min(max(i, 0), n-1)].Digest, storage.ErrMismatch)
		}
		got[i], last = true, i+1
		found++
		return add(asked[i], b)
	})
	if err != nil {
		return nil, err
	}
	if found == 0 { // none is there, or small enough: one by one it shows which
		return needed[n:], t.oneByOne(ctx, asked, add)
	}
	var rest []Needed
	for i, ok := range got {
		if !ok {
			rest = append(rest, asked[i])
		}
	}
	return append(rest, needed[n:]...), nil
}

func (t *taking) oneByOne(ctx context.Context, needed []Needed, add func(Needed, []byte) error) error {
	for _, n := range needed {
		_, r, err := t.src.Blob(ctx, n.Area, n.Digest)
		var b []byte
		if err == nil {
			b, err = io.ReadAll(r)
			err = errors.Join(err, r.Close())
		}
		if err == nil && task.Sum(b) != n.Digest {
			err = storage.ErrMismatch
		}
		if err != nil {
			err = t.absent(n, err)
		} else {
			err = add(n, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// absent passes over a blob that has gone and that nothing needs any more.
func (t *taking) absent(n Needed, err error) error {
	if n.Spent && errors.Is(err, storage.ErrNotFound) {
		t.gone++
		return nil
	}
	return fmt.Errorf("%s, %s: %w", n.For, n.Digest, err)
}

func (t *taking) tell() {
	if t.told != nil {
		t.told(Progress{Blobs: t.counts.Public + t.counts.Outputs, Bytes: t.size, Sealed: len(t.writer.sealed), Sheaves: t.sheaves})
	}
}
