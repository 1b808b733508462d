package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Visitor takes what a backup holds. An error of it ends the reading and is
// returned as it is.
type Visitor interface {
	// Small takes a blob whose digest is right. The bytes are the visitor's.
	Small(ctx context.Context, area Area, b storage.Small) error
	// Large takes a blob as it comes: r fails where the bytes are not those of
	// the digest, at the latest at their end.
	Large(ctx context.Context, area Area, digest task.Digest, size int64, r io.Reader) error
	// Snapshot takes the state. It is called once, after all blobs.
	Snapshot(ctx context.Context, index uint64, size int64, r io.Reader) error
}

// Reader reads a backup.
type Reader struct {
	in     *bufio.Reader
	coder  *coder
	sum    hash.Hash // of all bytes so far
	offset int64     // in the file
	counts Manifest
	sealed func(sheaf task.Digest, recordEnd int64) // nil: nobody wants to know
	record func()                                   // called when a record is whole
}

func newReader(r io.Reader) (*Reader, error) {
	c, err := newCoder()
	return &Reader{in: bufio.NewReaderSize(r, 1<<20), coder: c, sum: sha256.New()}, err
}

// Read reads a whole backup. Its error wraps ErrCut or ErrDamaged if the file is
// not what was written.
func Read(ctx context.Context, path string, v Visitor) (Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return Manifest{}, err
	}
	defer f.Close()
	r, err := newReader(f)
	if err != nil {
		return Manifest{}, err
	}
	m, err := r.run(ctx, v)
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// at says where in the file something is wrong.
func (r *Reader) at(offset int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends after %d bytes, without the manifest that ends every backup", ErrCut, r.offset)
	}
	return fmt.Errorf("%w: at byte %d: %w", ErrDamaged, offset, err)
}

// frame reads one frame and returns what it holds.
func (r *Reader) frame() (kind uint16, plain []byte, err error) {
	tee := &counted{r: r}
	kind, payload, err := wire.ReadFrame(tee, maxPlain+1)
	if err != nil {
		return 0, nil, err
	}
	if kind != frameManifest {
		r.sum.Write(tee.raw)
	}
	plain, err = r.coder.plain(payload)
	return kind, plain, err
}

// counted keeps the bytes of one frame.
type counted struct {
	r   *Reader
	raw []byte
}

// Read reads from the file.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.in.Read(p)
	c.r.offset += int64(n)
	c.raw = append(c.raw, p[:n]...)
	return n, err
}

func (r *Reader) run(ctx context.Context, v Visitor) (Manifest, error) {
	var began bool
	var index *uint64
	for {
		start := r.offset
		kind, plain, err := r.frame()
		if err != nil {
			return Manifest{}, r.at(start, err)
		}
		if began == (kind == frameHead) {
			return Manifest{}, r.at(start, errors.New("it is no backup of a cluster, or begins twice"))
		}
		switch kind {
		case frameHead:
			began = true
			err = r.head(plain)
		case framePack:
			err = r.pack(ctx, plain, v)
		case frameLarge:
			err = r.large(ctx, plain, v)
		case frameSealed:
			err = r.seal(plain)
		case frameSnapshot:
			index, err = r.snapshot(ctx, plain, v)
		case frameManifest:
			m, err := r.manifest(plain, index)
			if err != nil {
				return Manifest{}, r.at(start, err)
			}
			return m, nil
		default:
			err = fmt.Errorf("frame of kind %d is not known; it was written by a newer version of sheaf", kind)
		}
		var own *visitorError
		switch {
		case errors.As(err, &own):
			return Manifest{}, own.err
		case err != nil:
			return Manifest{}, r.at(start, err)
		case ctx.Err() != nil:
			return Manifest{}, ctx.Err()
		case r.record != nil:
			r.record()
		}
	}
}

// visitorError is an error of the visitor's own.
type visitorError struct{ err error }

func (e *visitorError) Error() string { return e.err.Error() }

func (r *Reader) head(plain []byte) error {
	var h head
	if err := wire.UnmarshalLax(plain, &h); err != nil {
		return err
	}
	if h.Format != format {
		return fmt.Errorf("it has format %d, this version of sheaf reads format %d", h.Format, format)
	}
	r.counts.Format, r.counts.Cluster = h.Format, h.Cluster
	return nil
}

func (r *Reader) pack(ctx context.Context, plain []byte, v Visitor) error {
	var p pack
	if err := wire.Unmarshal(plain, &p); err != nil {
		return err
	}
	for _, b := range p.Blobs {
		small := storage.SmallOf(b.Bytes)
		if small.Digest != b.Digest {
			return fmt.Errorf("blob %s: its %d bytes have digest %s", b.Digest, len(b.Bytes), small.Digest)
		}
		small.Group = b.Group
		if b.Area != Public && b.Area != Outputs {
			return fmt.Errorf("blob %s: area %d is not known", b.Digest, b.Area)
		}
		r.counts.count(b.Area, int64(len(b.Bytes)))
		if err := v.Small(ctx, b.Area, small); err != nil {
			return &visitorError{err}
		}
	}
	return nil
}

func (r *Reader) large(ctx context.Context, plain []byte, v Visitor) error {
	var l large
	if err := wire.Unmarshal(plain, &l); err != nil {
		return err
	}
	if l.Area != Public && l.Area != Outputs || l.Size < 0 {
		return fmt.Errorf("blob %s: area %d, %d bytes", l.Digest, l.Area, l.Size)
	}
	b := &body{reader: r, left: l.Size, sum: sha256.New(), digest: &l.Digest}
	r.counts.count(l.Area, l.Size)
	return b.visit(func() error { return v.Large(ctx, l.Area, l.Digest, l.Size, b) })
}

func (r *Reader) seal(plain []byte) error {
	var s sealed
	if err := wire.Unmarshal(plain, &s); err != nil {
		return err
	}
	if r.sealed != nil {
		r.sealed(s.Sheaf, r.offset)
	}
	return nil
}

func (r *Reader) snapshot(ctx context.Context, plain []byte, v Visitor) (*uint64, error) {
	var s snapshot
	if err := wire.Unmarshal(plain, &s); err != nil {
		return nil, err
	}
	b := &body{reader: r, left: s.Size, sum: sha256.New()}
	return &s.Index, b.visit(func() error { return v.Snapshot(ctx, s.Index, s.Size, b) })
}

func (r *Reader) manifest(plain []byte, index *uint64) (Manifest, error) {
	var m Manifest
	if err := wire.Unmarshal(plain, &m); err != nil {
		return m, err
	}
	if got := task.Digest(r.sum.Sum(nil)); got != m.Sum {
		return m, fmt.Errorf("the manifest says %s of what stands before it, which is %s", m.Sum.Short(), got.Short())
	}
	c := &r.counts
	if index == nil || *index != m.Index || c.Cluster != m.Cluster || c.Public != m.Public || c.PublicBytes != m.PublicBytes || c.Outputs != m.Outputs || c.OutputBytes != m.OutputBytes {
		return m, errors.New("the manifest tells of another backup")
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return m, errors.New("there are bytes behind the manifest")
	}
	return m, nil
}

// body is what stands in parts.
type body struct {
	reader *Reader
	part   []byte
	left   int64
	sum    hash.Hash
	digest *task.Digest // nil: what it holds is checked by others
	failed error        // of the file
}

// Read reads on through the parts.
func (b *body) Read(p []byte) (int, error) {
	for len(b.part) == 0 && b.failed == nil {
		if b.left == 0 {
			return 0, b.end()
		}
		kind, plain, err := b.reader.frame()
		switch {
		case err != nil:
			b.failed = err
		case kind != framePart || len(plain) == 0 || int64(len(plain)) > b.left:
			b.failed = errors.New("a part is missing")
		default:
			b.part, b.left = plain, b.left-int64(len(plain))
			b.sum.Write(plain)
		}
	}
	if b.failed != nil {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, b.part)
	b.part = b.part[n:]
	return n, nil
}

func (b *body) end() error {
	if b.digest != nil {
		if got := task.Digest(b.sum.Sum(nil)); got != *b.digest {
			b.failed = fmt.Errorf("blob %s: its bytes have digest %s", *b.digest, got)
			return io.ErrUnexpectedEOF
		}
	}
	return io.EOF
}

// visit lets a visitor read, and reads what it left. What is wrong with the file
// says more than what the visitor makes of it.
func (b *body) visit(fn func() error) error {
	err := fn()
	if err == nil {
		_, _ = io.Copy(io.Discard, b)
	}
	switch {
	case b.failed != nil:
		return b.failed
	case err != nil:
		return &visitorError{err}
	}
	return nil
}

// Check reads a whole backup and checks everything that can be known of it
// alone: each blob against its digest, the state against its invariants and
// the manifest.
func Check(ctx context.Context, path string) (Manifest, error) {
	c := &checking{}
	m, err := Read(ctx, path, c)
	if err == nil && (c.digest != m.State || c.cluster != m.Cluster) {
		err = fmt.Errorf("%s: %w: its state is %s of cluster %s, the manifest says %s of cluster %s", path, ErrDamaged, c.digest.Short(), c.cluster, m.State.Short(), m.Cluster)
	}
	return m, err
}

// checking looks at a backup and keeps nothing.
type checking struct {
	digest  task.Digest
	cluster task.ClusterID
}

func (*checking) Small(context.Context, Area, storage.Small) error { return nil }

func (*checking) Large(_ context.Context, _ Area, _ task.Digest, _ int64, r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (c *checking) Snapshot(_ context.Context, _ uint64, _ int64, r io.Reader) error {
	s, err := ReadState(r)
	if err == nil {
		c.digest, c.cluster = s.Digest(), s.Cluster().ID
	}
	return err
}

// ReadState reads a snapshot and checks every invariant of the state in it.
func ReadState(r io.Reader) (*state.State, error) {
	s, err := state.Restore(bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("%w: the state breaks an invariant: %w", ErrDamaged, err)
	}
	return s, nil
}
