package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Source is a running cluster, read with its operator's credentials.
type Source interface {
	// Cluster says which cluster it is.
	Cluster(ctx context.Context) (task.ClusterID, error)
	// Snapshot opens the state as it is now, and says at which index that is.
	Snapshot(ctx context.Context) (index uint64, r io.ReadCloser, err error)
	// Batch calls fn with some of the blobs that are asked for, in order, and at
	// least with the first one that is there. It calls fn for none if none is.
	Batch(ctx context.Context, area Area, digests []task.Digest, fn func(i int, b []byte) error) error
	// Blob writes a whole blob to w. One that no coordinator has is
	// storage.ErrNotFound.
	Blob(ctx context.Context, area Area, digest task.Digest, w io.Writer) error
}

// Progress is how far a backup is.
type Progress struct {
	Blobs   int64 // in the file
	Bytes   int64 // of the file
	Sealed  int   // sheaves of which everything is in the file
	Sheaves int   // that there are
}

// snapshotTries is how often a newer snapshot is taken because a blob that an
// older one needed has gone meanwhile.
const snapshotTries = 3

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
	spool, err := os.CreateTemp(filepath.Dir(w.path), ".sheaf-snapshot-*") // mode 600
	if err != nil {
		return Manifest{}, err
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	for try := 1; ; try++ {
		s, m, size, err := fetchState(ctx, src, spool)
		if err == nil && s.Cluster().ID != w.counts.Cluster {
			err = fmt.Errorf("the snapshot is of cluster %s, not of %s", s.Cluster().ID, w.counts.Cluster)
		}
		if err != nil {
			return Manifest{}, err
		}
		t := &taking{writer: w, src: src, told: progress}
		for n := task.JobNumber(1); n <= s.Jobs(); n++ {
			j, _ := s.Job(n)
			for _, id := range j.Stages {
				t.sheaves += int(s.Stage(id).Sealed)
			}
		}
		err = Walk(ctx, s, t)
		if errors.Is(err, storage.ErrNotFound) && try < snapshotTries {
			continue
		}
		if err != nil {
			return Manifest{}, err
		}
		m.Gone = t.gone
		if _, err := spool.Seek(0, io.SeekStart); err != nil {
			return Manifest{}, err
		}
		return w.finish(m, size, spool)
	}
}

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
		return nil, m, 0, fmt.Errorf("the cluster's snapshot: %w", err)
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

// Sealed implements Library.
func (t *taking) Sealed(sheaf task.Digest) bool { return t.writer.sealed[sheaf] }

// Complete implements Library.
func (t *taking) Complete(sheaf task.Digest) error { return t.complete(sheaf) }

// Take implements Library.
func (t *taking) Take(ctx context.Context, needed []Needed) error {
	var missing []Needed
	for _, n := range needed {
		if !t.has.has(blobKey{n.Area, n.Digest}) {
			missing = append(missing, n)
		}
	}
	return t.fetch(ctx, missing, func(n Needed, b []byte) error { return t.small(n.Area, n.Digest, b) })
}

// Open implements Library. What the file has already is fetched again: it is
// little, and the file is being written.
func (t *taking) Open(ctx context.Context, needed []Needed, fn func(int, []byte) error) error {
	contents := make(map[task.Digest][]byte, len(needed))
	err := t.fetch(ctx, needed, func(n Needed, b []byte) error {
		contents[n.Digest] = b
		if t.has.has(blobKey{n.Area, n.Digest}) {
			return nil
		}
		return t.small(n.Area, n.Digest, b)
	})
	for i, n := range needed {
		if b, ok := contents[n.Digest]; ok && err == nil {
			err = fn(i, b)
		}
	}
	return err
}

// askFor is how many blobs are asked for in one request.
const askFor = 1024

// fetch gets blobs: the small ones together, the others one by one, straight
// into the file. Those that were in the cluster and fit into memory go to add.
func (t *taking) fetch(ctx context.Context, needed []Needed, add func(Needed, []byte) error) error {
	var small []Needed
	for _, n := range needed {
		if n.Size <= maxPacked {
			small = append(small, n)
			continue
		}
		err := t.large(n.Area, n.Digest, n.Size, func(w io.Writer) error { return t.src.Blob(ctx, n.Area, n.Digest, w) })
		if err := t.absent(n, err); err != nil {
			return err
		}
	}
	for len(small) > 0 {
		rest, err := t.batch(ctx, small, add)
		if err != nil {
			return err
		}
		small = rest
	}
	t.tell()
	return nil
}

// batch gets some of the blobs, at least one, and returns the rest.
func (t *taking) batch(ctx context.Context, small []Needed, add func(Needed, []byte) error) ([]Needed, error) {
	area, n := small[0].Area, 0
	var digests []task.Digest
	for n < min(len(small), askFor) && small[n].Area == area {
		digests = append(digests, small[n].Digest)
		n++
	}
	got := make([]bool, n)
	found, last := 0, 0
	err := t.src.Batch(ctx, area, digests, func(i int, b []byte) error {
		if i < last || i >= n || task.Sum(b) != digests[i] {
			return fmt.Errorf("blob %s: %w", digests[min(max(i, 0), n-1)], storage.ErrMismatch)
		}
		got[i], last = true, i+1
		found++
		return add(small[i], b)
	})
	if err != nil {
		return nil, err
	}
	if found > 0 {
		var rest []Needed
		for i, ok := range got {
			if !ok {
				rest = append(rest, small[i])
			}
		}
		return append(rest, small[n:]...), nil
	}
	// None of them is small enough, or there: one by one it shows which.
	for _, one := range small[:n] {
		var b bytes.Buffer
		err := t.src.Blob(ctx, one.Area, one.Digest, &b)
		if err == nil && task.Sum(b.Bytes()) != one.Digest {
			err = storage.ErrMismatch
		}
		if err == nil {
			err = add(one, b.Bytes())
		} else {
			err = t.absent(one, err)
		}
		if err != nil {
			return nil, err
		}
	}
	return small[n:], nil
}

// absent passes over a blob that has gone and that nothing needs any more.
func (t *taking) absent(n Needed, err error) error {
	if n.Spent && errors.Is(err, storage.ErrNotFound) {
		t.gone++
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s, %s: %w", n.For, n.Digest, err)
	}
	return nil
}

func (t *taking) tell() {
	if t.told != nil {
		t.told(Progress{Blobs: t.counts.Public + t.counts.Outputs, Bytes: t.size, Sealed: len(t.writer.sealed), Sheaves: t.sheaves})
	}
}
