package dir

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// stored is the file of one blob, open for reading.
type stored struct {
	file   file
	header header
	length int64 // of the file
	path   string
}

// Open implements storage.Blobs. The blob stays readable after a Delete and
// after Close, until it is closed itself.
func (s *Store) Open(ctx context.Context, digest task.Digest) (storage.Blob, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	f, err := s.openStored(digest)
	if err != nil {
		return nil, err
	}
	return &blob{stored: f, cache: s.cache}, nil
}

// openStored opens a blob's file and reads its header.
func (s *Store) openStored(digest task.Digest) (*stored, error) {
	name := blobName(digest)
	f, err := s.disk.open(name)
	if err == nil && s.shards.hidden(digest) {
		_ = f.Close()
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("blob %s: %w", digest, storage.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	b, err := readHeader(f, digest, s.config.Path+"/"+name)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return b, nil
}

func readHeader(f file, digest task.Digest, path string) (*stored, error) {
	length, err := f.length()
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	var b [headerSize]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("blob %s: %w", digest, err)
	}
	h, err := parseHeader(b[:n], digest, length)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w: %s: %w", digest, storage.ErrCorrupt, path, err)
	}
	return &stored{file: f, header: h, length: length, path: path}, nil
}

// entry reads a line of the table.
func (b *stored) entry(i int64) (entry, error) {
	var buf [entrySize]byte
	if err := b.readFull(buf[:], b.header.tableOffset(b.length)+i*entrySize); err != nil {
		return entry{}, err
	}
	e, err := parseEntry(buf[:], b.header, i, b.length)
	if err == nil && b.header.chunks() == 1 && e.sum != b.header.digest {
		err = errors.New("it has another digest than the blob that it is the whole of")
	}
	if err != nil {
		return entry{}, b.corrupt(i, err)
	}
	return e, nil
}

// chunk reads and checks chunk i. What it returns is u's and lasts until u is
// used again.
func (b *stored) chunk(u *unpacker, i int64, e entry) ([]byte, error) {
	n := b.header.chunkLen(i)
	space := &u.space
	if e.encoding == encodingZstd {
		space = &u.stored
	}
	*space = grow((*space)[:0], e.length)[:e.length]
	raw := *space
	if err := b.readFull(raw, e.offset); err != nil {
		return nil, err
	}
	if crc32.Checksum(raw, castagnoli) != e.crc {
		return nil, b.corrupt(i, errors.New("its bytes fail the checksum"))
	}
	chunk := raw
	if e.encoding == encodingZstd {
		var err error
		if chunk, err = u.expand(n); err != nil {
			return nil, b.corrupt(i, err)
		}
	}
	if task.Sum(chunk) != e.sum {
		return nil, b.corrupt(i, errors.New("it has another digest"))
	}
	return chunk, nil
}

// readFull fills p. A file that ends too early is damaged.
func (b *stored) readFull(p []byte, offset int64) error {
	n, err := b.file.ReadAt(p, offset)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("blob %s: %w: %s ends at byte %d", b.header.digest, storage.ErrCorrupt, b.path, offset+int64(n))
	}
	return fmt.Errorf("blob %s: %w", b.header.digest, err)
}

func (b *stored) corrupt(i int64, why error) error {
	return fmt.Errorf("blob %s: %w: %s, chunk %d of %d: %w", b.header.digest, storage.ErrCorrupt, b.path, i+1, b.header.chunks(), why)
}

// blob is a blob that a caller of Open reads.
type blob struct {
	*stored
	cache  *cache
	closed atomic.Bool
}

// ReadAt implements io.ReaderAt.
func (b *blob) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case b.closed.Load():
		return 0, fmt.Errorf("blob %s: %w", b.header.digest, fs.ErrClosed)
	case off < 0:
		return 0, fmt.Errorf("blob %s: read at offset %d: %w", b.header.digest, off, fs.ErrInvalid)
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= b.header.size {
			return n, io.EOF
		}
		i := at / storage.ChunkSize
		key := chunkKey{blob: b.header.digest, index: i}
		k, err := b.cache.read(key, p[n:], int(at%storage.ChunkSize), func(u *unpacker) ([]byte, error) {
			e, err := b.entry(i)
			if err != nil {
				return nil, err
			}
			return b.chunk(u, i, e)
		})
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Close implements io.Closer.
func (b *blob) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	return b.file.Close()
}

// Size implements storage.Blob.
func (b *blob) Size() int64 { return b.header.size }
