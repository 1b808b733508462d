package segments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// OpenReadOnly opens the store in a directory for looking: nothing is written
// there, no lock is taken, and nobody else may have it open. What would change
// something fails with fs.ErrPermission.
func OpenReadOnly(ctx context.Context, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d, err := openDisk(c.Path)
	if err != nil {
		return nil, fmt.Errorf("segments: %w", err)
	}
	s, err := openOn(ctx, c, lookingDisk{d}, func() error { return nil })
	if err != nil {
		_ = d.close()
		return nil, err
	}
	s.broken = fs.ErrPermission
	return s, nil
}

// lookingDisk is a disk on which nothing changes: what a store would mend when it
// is opened, it mends in memory alone.
type lookingDisk struct{ *osDisk }

func (lookingDisk) create(string) (file, error) { return nil, fs.ErrPermission }
func (lookingDisk) remove(string) error         { return nil }
func (lookingDisk) sync() error                 { return nil }

func (d lookingDisk) open(name string) (file, error) {
	f, err := d.openFile(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return lookingFile{f}, nil
}

type lookingFile struct{ file }

func (lookingFile) WriteAt([]byte, int64) (int, error) { return 0, fs.ErrPermission }
func (lookingFile) Truncate(int64) error               { return nil }
func (lookingFile) Sync() error                        { return nil }

// Inspect reads every byte of the segments in a directory and calls damaged for
// each thing that is wrong, with an error that wraps storage.ErrCorrupt and names
// the file and the place. What stands elsewhere once more, and whole, is not lost
// and not told of, nor is a write at the very end that did not come to its end.
// It writes nothing. blobs counts the records that are whole.
func Inspect(ctx context.Context, path string, damaged func(error)) (blobs int64, err error) {
	d, err := openDisk(path)
	if err != nil {
		return 0, fmt.Errorf("segments: %w", err)
	}
	defer d.close()
	in := inspection{disk: lookingDisk{d}, path: path, tell: damaged, lost: map[name]error{}}
	if in.numbers, err = listSegments(d, path); err != nil {
		return 0, err
	}
	err = in.each(ctx, in.look)
	if in.again = true; err == nil && len(in.lost) > 0 {
		err = in.each(ctx, in.find)
	}
	for _, e := range slices.SortedFunc(maps.Values(in.lost), func(a, b error) int { return strings.Compare(a.Error(), b.Error()) }) {
		damaged(e)
	}
	return in.blobs, err
}

// inspection is one look at a store.
type inspection struct {
	disk    lookingDisk
	path    string
	numbers []uint32
	tell    func(error)
	blobs   int64
	lost    map[name]error // blobs whose bytes are damaged, and where
	again   bool           // it is the second look
}

// each calls fn for everything in all segments.
func (in *inspection) each(ctx context.Context, fn func(s *inspected, r found)) error {
	for i, n := range in.numbers {
		s := &inspected{inspection: in, file: filepath.Join(in.path, segmentName(n)), last: i == len(in.numbers)-1}
		f, err := in.disk.open(segmentName(n))
		if err != nil {
			return fmt.Errorf("segments: %w", err)
		}
		err = s.scan(ctx, f, n, fn)
		if err = errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", s.file, err)
		}
	}
	return nil
}

// inspected is one segment.
type inspected struct {
	*inspection
	file string
	last bool
	size int64
}

func (s *inspected) damaged(at int64, format string, args ...any) error {
	return fmt.Errorf("%s: %w: at byte %d: %s", s.file, storage.ErrCorrupt, at, fmt.Sprintf(format, args...))
}

func (s *inspected) scan(ctx context.Context, f file, number uint32, fn func(*inspected, found)) (err error) {
	if s.size, err = f.length(); err != nil {
		return err
	}
	var b [segmentHeaderSize]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := checkSegmentHeader(b[:n], number); err != nil && (s.size > segmentHeaderSize || !s.last) && !s.again {
		s.tell(s.damaged(0, "%v", err))
	}
	for scan := newScanner(f, number, s.size); ctx.Err() == nil; {
		r, err := scan.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fn(s, r)
	}
	return ctx.Err()
}

// look notes what is wrong.
func (in *inspection) look(s *inspected, r found) {
	torn := r.gap || len(r.body) < r.header.length
	switch {
	case s.last && torn && r.offset+r.size == s.size:
	case r.gap:
		in.tell(s.damaged(r.offset, "%d bytes make no sense", r.size))
	case r.damaged || task.Sum(r.body) != r.header.digest:
		in.lost[name{r.header.group, r.header.digest}] = s.damaged(r.offset, "the bytes of blob %s are not those that were written", r.header.digest)
	case r.mended:
		in.tell(s.damaged(r.offset, "a bit has flipped in the header of blob %s, which can still be read", r.header.digest))
	case r.header.kind == kindBlob:
		in.blobs++
	}
}

// find crosses out what stands elsewhere, whole.
func (in *inspection) find(_ *inspected, r found) {
	if !r.gap && !r.damaged && r.header.kind == kindBlob {
		delete(in.lost, name{r.header.group, r.header.digest})
	}
}
