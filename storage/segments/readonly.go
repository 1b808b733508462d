package segments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
// the file and the place. A write at the very end that did not come to its end is
// not damage. It writes nothing. blobs counts what is whole.
func Inspect(ctx context.Context, path string, damaged func(error)) (blobs int64, err error) {
	d, err := openDisk(path)
	if err != nil {
		return 0, fmt.Errorf("segments: %w", err)
	}
	defer d.close()
	numbers, err := listSegments(d, path)
	if err != nil {
		return 0, err
	}
	for i, n := range numbers {
		name := filepath.Join(path, segmentName(n))
		f, err := lookingDisk{d}.open(segmentName(n))
		if err != nil {
			return blobs, fmt.Errorf("segments: %w", err)
		}
		whole, err := inspectSegment(ctx, f, n, i == len(numbers)-1, func(at int64, why string) {
			damaged(fmt.Errorf("%s: %w: at byte %d: %s", name, storage.ErrCorrupt, at, why))
		})
		blobs += whole
		if err = errors.Join(err, f.Close()); err != nil {
			return blobs, fmt.Errorf("%s: %w", name, err)
		}
	}
	return blobs, nil
}

func inspectSegment(ctx context.Context, f file, number uint32, last bool, damaged func(int64, string)) (blobs int64, err error) {
	size, err := f.length()
	if err != nil {
		return 0, err
	}
	var b [segmentHeaderSize]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if err := checkSegmentHeader(b[:n], number); err != nil && (size > segmentHeaderSize || !last) {
		damaged(0, err.Error())
	}
	for scan := newScanner(f, number, size); ctx.Err() == nil; {
		r, err := scan.next()
		if errors.Is(err, io.EOF) {
			return blobs, nil
		}
		if err != nil {
			return blobs, err
		}
		torn := r.gap || len(r.body) < r.header.length
		switch {
		case last && torn && r.offset+r.size == size:
		case r.gap:
			damaged(r.offset, fmt.Sprintf("%d bytes make no sense", r.size))
		case r.damaged || task.Sum(r.body) != r.header.digest:
			damaged(r.offset, fmt.Sprintf("the bytes of blob %s are not those that were written", r.header.digest))
		case r.mended:
			damaged(r.offset, fmt.Sprintf("a bit has flipped in the header of blob %s, which can still be read", r.header.digest))
		case r.header.kind == kindBlob:
			blobs++
		}
	}
	return blobs, ctx.Err()
}
