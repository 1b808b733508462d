package publisher

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/sheafgrid/sheaf/task"
)

// ErrFileChanged is wrapped by the error about a local file that is no longer
// what it was when the job was planned.
var ErrFileChanged = errors.New("file has changed since it was read")

// Blob is something to upload before a job is submitted.
type Blob struct {
	Digest task.Digest
	Size   int64
	What   string // for people: "input digits.csv", "program train.wasm"
	File   string // path of the local file that it is made of; "" where it is made of none

	open func(ctx context.Context) (io.ReadCloser, error)
}

// Open returns the blob's bytes from the start; the caller closes it. It may
// be called again, as often as an upload has to be repeated. A local file that
// has changed since is ErrFileChanged, here where that shows early, and in any
// case where the receiver compares digests.
func (b *Blob) Open(ctx context.Context) (io.ReadCloser, error) { return b.open(ctx) }

// memoryBlob is a blob that is small enough to be kept.
func memoryBlob(what, file string, b []byte) Blob {
	return Blob{Digest: task.Sum(b), Size: int64(len(b)), What: what, File: file, open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

// localFile is a file as it was when it was read.
type localFile struct {
	path     string
	size     int64
	modified time.Time
}

// openLocal opens an ordinary file for reading. Anything else is refused
// before it is opened, as opening a pipe may wait for ever.
func openLocal(path string) (*os.File, localFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, localFile{}, err
	}
	if info.IsDir() {
		return nil, localFile{}, errors.New("it is a folder, want a file")
	}
	if !info.Mode().IsRegular() {
		return nil, localFile{}, errors.New("it is no ordinary file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, localFile{}, err
	}
	return f, localFile{path: path, size: info.Size(), modified: info.ModTime()}, nil
}

// reopen opens the file if it still looks as it did.
func (l localFile) reopen() (*os.File, error) {
	f, now, err := openLocal(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: it is gone", l.path, ErrFileChanged)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.path, err)
	}
	if now.size != l.size || !now.modified.Equal(l.modified) {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w; submit the job again, and leave the file alone until it is done", l.path, ErrFileChanged)
	}
	return f, nil
}

// fileBlob hashes a file of limit bytes at most, and its pieces, in one pass.
func fileBlob(ctx context.Context, what, path string, limit int64) (Blob, task.PieceList, error) {
	f, local, err := openLocal(path)
	if err != nil {
		return Blob{}, nil, err
	}
	defer f.Close()
	if local.size > limit {
		return Blob{}, nil, fmt.Errorf("it has %d bytes, and all inputs of a task together may have %d, as volunteers hold them in memory; "+
			"cut it into pieces, or split by its lines", local.size, maxTaskInputs)
	}
	sum, pieces := sha256.New(), task.PieceLister{}
	n, err := io.CopyBuffer(io.MultiWriter(sum, &pieces), io.LimitReader(reading(ctx, f), local.size+1), make([]byte, copyBuffer))
	if err != nil {
		return Blob{}, nil, err
	}
	if n != local.size {
		return Blob{}, nil, fmt.Errorf("%w: it had %d bytes at first", ErrFileChanged, local.size)
	}
	return Blob{Digest: task.Digest(sum.Sum(nil)), Size: n, What: what, File: path, open: func(context.Context) (io.ReadCloser, error) {
		return local.reopen()
	}}, pieces.List(), nil
}

// lineBlobs cuts a file by lines in one pass. Its pages are not kept: a job may
// have gigabytes of them. Each is made anew from its part of the file when it
// is uploaded.
func lineBlobs(ctx context.Context, name, path string, perTask uint32) (*LineIndex, []Blob, error) {
	f, local, err := openLocal(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if err := refuseUTF16(f); err != nil {
		return nil, nil, err
	}
	var pages []Blob
	x, err := BuildLineIndex(ctx, f, perTask, func(page []byte) error {
		first, last := page[:16], page[len(page)-lineEntrySize:]
		from := int64(binary.BigEndian.Uint64(first))
		to := int64(binary.BigEndian.Uint64(last) + binary.BigEndian.Uint64(last[8:]))
		p := linePage{file: local, perTask: perTask, from: from, to: to, digest: task.Sum(page)}
		pages = append(pages, Blob{
			Digest: p.digest, Size: int64(len(page)), What: fmt.Sprintf("page %d of the index of %s", len(pages), name), open: p.open,
		})
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if x.Size != local.size {
		return nil, nil, fmt.Errorf("%w: it had %d bytes at first", ErrFileChanged, local.size)
	}
	whole := Blob{Digest: x.Blob, Size: x.Size, What: "lines of " + name, File: path, open: func(context.Context) (io.ReadCloser, error) {
		return local.reopen()
	}}
	blobs := append([]Blob{whole}, pages...)
	return x, append(blobs, memoryBlob("list of the index of "+name, "", x.List())), nil
}

// refuseUTF16 catches text in which a newline is two bytes: cut behind one
// byte of it, every task but the first would read nonsense.
func refuseUTF16(f io.ReaderAt) error {
	var b [2]byte
	if n, _ := f.ReadAt(b[:], 0); n == len(b) && (b == [2]byte{0xff, 0xfe} || b == [2]byte{0xfe, 0xff}) {
		return fmt.Errorf("%w: it is UTF-16 text; save it as UTF-8 first", ErrLines)
	}
	return nil
}

// linePage is one page of an index, by the part of the file that it describes.
type linePage struct {
	file     localFile
	perTask  uint32
	from, to int64
	digest   task.Digest
}

func (p linePage) open(ctx context.Context) (io.ReadCloser, error) {
	f, err := p.file.reopen()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var page []byte
	x := newLineIndexer(p.perTask, uint64(p.from), func(b []byte) error {
		page = bytes.Clone(b)
		return nil
	})
	part := io.NewSectionReader(f, p.from, p.to-p.from)
	if _, err := io.CopyBuffer(writeTo(x.add), reading(ctx, part), make([]byte, copyBuffer)); err != nil {
		return nil, fmt.Errorf("%s: %w", p.file.path, err)
	}
	if err := x.finish(); err != nil {
		return nil, fmt.Errorf("%s: %w", p.file.path, err)
	}
	if task.Sum(page) != p.digest {
		return nil, fmt.Errorf("%s: %w; submit the job again, and leave the file alone until it is done", p.file.path, ErrFileChanged)
	}
	return io.NopCloser(bytes.NewReader(page)), nil
}

// writeTo makes a writer of a function that takes all it is given.
type writeTo func([]byte) error

func (w writeTo) Write(b []byte) (int, error) {
	if err := w(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// reading ends a long copy when its context does.
func reading(ctx context.Context, r io.Reader) io.Reader {
	return readFunc(func(b []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(b)
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }
