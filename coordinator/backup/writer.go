package backup

import (
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// partialSuffix is what a backup is called until it is whole.
const (
	partialSuffix = ".partial"
	lockSuffix    = ".lock"
	stateSuffix   = ".state" // the snapshot, until the blobs are there
)

// writer appends to a backup that is not whole yet.
type writer struct {
	path   string // of the whole backup
	file   *os.File
	unlock func() error
	coder  *coder
	sum    hash.Hash
	size   int64

	pack   pack
	packed int // bytes of its blobs

	has    *remembered
	sealed map[task.Digest]bool // sheaves of which everything is here
	counts Manifest
}

// openWriter begins a backup, or goes on with one that was interrupted: what it
// holds as far as it is right.
func openWriter(ctx context.Context, path string, cluster task.ClusterID) (*writer, error) {
	if _, err := os.Stat(path); err == nil {
		return nil, fmt.Errorf("%s is there already; choose another name, or move it away", path)
	}
	if dir, err := os.Stat(filepath.Dir(path)); err != nil || !dir.IsDir() {
		return nil, fmt.Errorf("there is no folder %s; make it, or write the backup elsewhere", filepath.Dir(path))
	}
	unlock, err := fsutil.Lock(path + lockSuffix)
	if errors.Is(err, fsutil.ErrLocked) {
		return nil, fmt.Errorf("another backup is writing %s: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+partialSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(err, unlock())
	}
	w := &writer{path: path, file: f, unlock: unlock, sum: sha256.New(), has: newRemembered(), sealed: map[task.Digest]bool{}}
	if w.coder, err = newCoder(); err == nil {
		err = w.resume(ctx, cluster)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// close ends the writing; what is whole stays for another time, if that is
// anything.
func (w *writer) close() error {
	err := w.file.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	if w.counts.Public+w.counts.Outputs == 0 {
		_ = os.Remove(w.path + partialSuffix) // it holds nothing
	}
	_ = os.Remove(w.path + lockSuffix) // a lock file that stays locks nobody out
	return errors.Join(err, w.unlock())
}

// resume reads what an earlier run has written, and cuts off what is not whole.
func (w *writer) resume(ctx context.Context, cluster task.ClusterID) error {
	r, err := newReader(w.file)
	if err != nil {
		return err
	}
	found := &resumed{writer: w}
	r.sealed = func(sheaf task.Digest, _ int64) { found.sealed = append(found.sealed, sheaf) }
	r.record = func() { found.keep(r) }
	_, err = r.run(ctx, found)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrDamaged) && w.size == 0:
		return fmt.Errorf("%s is no backup that was interrupted; move it away, or choose another name", w.file.Name())
	case !errors.Is(err, ErrCut) && !errors.Is(err, ErrDamaged) && !errors.Is(err, errSnapshotAgain):
		return err
	}
	if w.size > 0 && w.counts.Cluster != cluster {
		return fmt.Errorf("%s was begun with cluster %s, this is cluster %s; remove it, or choose another name", w.file.Name(), w.counts.Cluster, cluster)
	}
	if err := w.file.Truncate(w.size); err != nil {
		return err
	}
	if _, err := w.file.Seek(w.size, io.SeekStart); err != nil {
		return err
	}
	if w.size > 0 {
		return nil
	}
	w.counts.Format, w.counts.Cluster = format, cluster
	return w.frame(frameHead, wire.Marshal(head{Format: format, Cluster: cluster}))
}

// errSnapshotAgain ends the reading of an interrupted backup where its snapshot
// begins: it gets a newer one.
var errSnapshotAgain = errors.New("a newer snapshot is taken")

// resumed takes what an interrupted backup holds.
type resumed struct {
	*writer
	blobs  []blobKey // of the record that is being read
	sealed []task.Digest
}

// Small notes a blob.
func (v *resumed) Small(_ context.Context, a Area, b storage.Small) error {
	v.blobs = append(v.blobs, blobKey{a, b.Digest, b.Group})
	return nil
}

// Large notes a blob once it was read whole.
func (v *resumed) Large(_ context.Context, a Area, d task.Digest, _ int64, r io.Reader) error {
	v.blobs = append(v.blobs, blobKey{a, d, 0})
	_, err := io.Copy(io.Discard, r)
	return err
}

// Snapshot ends the reading.
func (v *resumed) Snapshot(context.Context, uint64, int64, io.Reader) error { return errSnapshotAgain }

// keep takes a record that was read whole.
func (v *resumed) keep(r *Reader) {
	for _, k := range v.blobs {
		v.has.add(k)
	}
	for _, s := range v.sealed {
		v.writer.sealed[s] = true
	}
	v.blobs, v.sealed = nil, nil
	v.size, v.counts = r.offset, r.counts
	v.sum = cloneHash(r.sum)
}

// cloneHash copies a running SHA-256.
func cloneHash(h hash.Hash) hash.Hash {
	b, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	c := sha256.New()
	if err == nil {
		err = c.(encoding.BinaryUnmarshaler).UnmarshalBinary(b)
	}
	if err != nil {
		panic(fmt.Sprintf("backup: SHA-256 cannot be copied: %v", err)) // it can, in every Go release
	}
	return c
}

// frame appends one frame.
func (w *writer) frame(kind uint16, plain []byte) error {
	b := wire.Seal(kind, w.coder.payload(plain))
	n, err := w.file.Write(b)
	w.size += int64(n)
	if err != nil {
		return err
	}
	w.sum.Write(b)
	return nil
}

// small adds a blob whose digest the caller has verified.
func (w *writer) small(k blobKey, b []byte) error {
	if len(b) > maxPacked {
		return w.large(k.area, k.digest, int64(len(b)), func(to io.Writer) error { _, err := to.Write(b); return err })
	}
	w.pack.Blobs = append(w.pack.Blobs, packed{Area: k.area, Digest: k.digest, Group: k.group, Bytes: b})
	w.packed += len(b) + 64
	w.counts.count(k.area, int64(len(b)))
	w.has.add(k)
	if w.packed < packBytes {
		return nil
	}
	return w.flush()
}

// flush writes the small blobs that wait for company.
func (w *writer) flush() error {
	if len(w.pack.Blobs) == 0 {
		return nil
	}
	err := w.frame(framePack, wire.Marshal(w.pack))
	w.pack.Blobs, w.packed = w.pack.Blobs[:0], 0
	return err
}

// large adds a blob that fill writes. If it is not what its digest says,
// nothing was added.
func (w *writer) large(a Area, d task.Digest, size int64, fill func(io.Writer) error) error {
	if err := w.flush(); err != nil {
		return err
	}
	start, before := w.size, cloneHash(w.sum)
	err := w.frame(frameLarge, wire.Marshal(large{a, d, size}))
	if err == nil {
		p := &parts{writer: w, sum: sha256.New()}
		if err = fill(p); err == nil {
			err = p.end(d, size)
		}
	}
	if err != nil {
		w.size, w.sum = start, before
		_, seek := w.file.Seek(start, io.SeekStart)
		return errors.Join(err, w.file.Truncate(start), seek)
	}
	w.counts.count(a, size)
	w.has.add(blobKey{a, d, 0})
	return nil
}

// parts cuts bytes into parts.
type parts struct {
	*writer
	buf  []byte
	sum  hash.Hash
	size int64
}

// Write adds bytes.
func (p *parts) Write(b []byte) (int, error) {
	n := len(b)
	p.sum.Write(b)
	p.size += int64(n)
	for len(b) > 0 {
		k := min(len(b), partBytes-len(p.buf))
		p.buf, b = append(p.buf, b[:k]...), b[k:]
		if len(p.buf) == partBytes {
			if err := p.send(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (p *parts) send() error {
	if len(p.buf) == 0 {
		return nil
	}
	err := p.frame(framePart, p.buf)
	p.buf = p.buf[:0]
	return err
}

func (p *parts) end(d task.Digest, size int64) error {
	if got := task.Digest(p.sum.Sum(nil)); got != d || p.size != size {
		return fmt.Errorf("blob %s of %d bytes: %w: %d bytes of digest %s came", d, size, storage.ErrMismatch, p.size, got)
	}
	return p.send()
}

// complete notes that everything is here that a sheaf names.
func (w *writer) complete(sheaf task.Digest) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.sealed[sheaf] = true
	return w.frame(frameSealed, wire.Marshal(sealed{sheaf}))
}

// finish adds the snapshot and the manifest, and gives the backup its name.
func (w *writer) finish(m Manifest, size int64, state io.Reader) (Manifest, error) {
	if err := w.flush(); err != nil {
		return m, err
	}
	if err := w.frame(frameSnapshot, wire.Marshal(snapshot{m.Index, size})); err != nil {
		return m, err
	}
	p := &parts{writer: w, sum: sha256.New()}
	n, err := io.Copy(p, state)
	if err == nil {
		err = p.send()
	}
	if err == nil && n != size {
		err = fmt.Errorf("the snapshot has %d bytes instead of %d", n, size)
	}
	if err != nil {
		return m, err
	}
	c := w.counts
	c.Index, c.State, c.Now, c.Wall, c.Gone = m.Index, m.State, m.Now, m.Wall, m.Gone
	c.Sum = task.Digest(w.sum.Sum(nil))
	if err := w.frame(frameManifest, wire.Marshal(c)); err != nil {
		return m, err
	}
	return c, w.file.Sync()
}

// name gives a whole backup its name.
func (w *writer) name() error {
	if err := w.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(w.path+partialSuffix, w.path); err != nil {
		return err
	}
	return fsutil.SyncDir(filepath.Dir(w.path))
}

// blobKey names a blob in its area, and its group: what is small stands under each
// group by itself.
type blobKey struct {
	area   Area
	digest task.Digest
	group  uint64
}

// remembered is what of the blobs that are here is still known: a blob has one
// place, and loses it to another that falls on the same. A blob that was
// forgotten is written again, which does no harm.
type remembered struct{ places []blobKey }

const rememberedPlaces = 1 << 20

func newRemembered() *remembered { return &remembered{make([]blobKey, rememberedPlaces)} }

func (r *remembered) place(k blobKey) *blobKey {
	d := &k.digest
	return &r.places[(int(d[0])|int(d[1])<<8|int(d[2])<<16)%rememberedPlaces]
}

func (r *remembered) add(k blobKey) { *r.place(k) = k }

func (r *remembered) has(k blobKey) bool { return *r.place(k) == k }
