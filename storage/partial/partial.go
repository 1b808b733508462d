// Package partial keeps the beginnings of large blobs whose upload broke off,
// so that it goes on where it stopped.
//
// What is kept belongs to an Owner: whoever sends the same blob under another
// name learns nothing of it (T3), and cannot disturb it. The bytes are as they
// came; nobody has verified them. They are on the disk when an Append ends, as
// far as it got, but for a power cut in its middle: then the whole may turn out
// to be wrong, and is sent again. The newest Append of a beginning wins: one
// whose connection hangs is not waited for.
//
// The package starts no goroutine. Beginnings that nobody has continued for a
// while go when Expire is called.
package partial

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Errors of this package.
var (
	// ErrOffset: the bytes do not follow those that are here. Length says where
	// to go on.
	ErrOffset = errors.New("the upload goes on at another byte")

	// ErrTakenOver: another Append of the same beginning came later.
	ErrTakenOver = errors.New("the same upload was begun again elsewhere")
)

// Owner names one upload.
type Owner struct {
	Area   string // where the blob is going
	Key    task.Key
	Digest task.Digest
	Size   int64 // of the whole blob, in bytes
}

// ID names the upload, and says nothing about it.
func (o Owner) ID() string { return o.name() }

// name is the file of an upload.
func (o Owner) name() string {
	b := append([]byte("sheaf partial 1\n"+o.Area+"\n"), o.Key[:]...)
	b = append(b, o.Digest[:]...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(o.Size)))
	return hex.EncodeToString(sum[:])
}

// Store keeps beginnings in a directory that is its own. Open one, and Close it.
type Store struct {
	root *os.Root

	mu    sync.Mutex
	turns map[string]*turn // of the uploads that somebody is at
}

// turn is whose turn it is to write a beginning.
type turn struct {
	mu    sync.Mutex // held while a part is written
	last  uint64     // the newest Append
	users int
}

// Open opens a directory, and makes it if there is none.
func Open(path string) (*Store, error) {
	if err := fsutil.MkdirAllSync(path, 0o700); err != nil {
		return nil, fmt.Errorf("unfinished uploads: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("unfinished uploads: %w", err)
	}
	return &Store{root: root, turns: map[string]*turn{}}, nil
}

// Close gives the directory back. No call may be running.
func (s *Store) Close() error { return s.root.Close() }

// Length is how many bytes of an upload are here.
func (s *Store) Length(o Owner) (int64, error) {
	info, err := s.root.Lstat(o.name())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("upload of blob %s: %w", o.Digest.Short(), err)
	}
	return info.Size(), nil
}

// enter takes the turn at an upload; leave must be called.
func (s *Store) enter(name string) (t *turn, mine uint64, leave func()) {
	s.mu.Lock()
	t = s.turns[name]
	if t == nil {
		t = &turn{}
		s.turns[name] = t
	}
	t.users++
	s.mu.Unlock()
	t.mu.Lock()
	t.last++
	mine = t.last
	t.mu.Unlock()
	return t, mine, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(s.turns, name)
		}
	}
}

// Append adds what r delivers from byte offset on, and returns how many bytes
// are here then, also when r fails: what came is kept. More bytes than the blob
// has are storage.ErrMismatch. An error of r is storage.ErrSource.
func (s *Store) Append(ctx context.Context, o Owner, offset int64, r io.Reader) (length int64, err error) {
	t, mine, leave := s.enter(o.name())
	defer leave()
	f, err := s.root.OpenFile(o.name(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return 0, o.about(err)
	}
	length, err = s.fill(ctx, f, t, mine, o, offset, r)
	return length, errors.Join(err, o.about(f.Sync()), o.about(f.Close()))
}

// bufferSize is how much is read before it is written.
const bufferSize = 256 << 10

func (s *Store) fill(ctx context.Context, f *os.File, t *turn, mine uint64, o Owner, offset int64, r io.Reader) (int64, error) {
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, o.about(err)
	}
	if at != offset || at > o.Size {
		return at, fmt.Errorf("upload of blob %s: %w: at %d, not at %d", o.Digest.Short(), ErrOffset, at, offset)
	}
	buf := make([]byte, bufferSize)
	for {
		if err := ctx.Err(); err != nil {
			return at, o.about(err)
		}
		n, readErr := fillBuffer(r, buf)
		if int64(n) > o.Size-at {
			return at, fmt.Errorf("blob %s: more than the %d bytes that were announced: %w", o.Digest, o.Size, storage.ErrMismatch)
		}
		if err := t.write(mine, f, buf[:n]); err != nil {
			return at, o.about(err)
		}
		at += int64(n)
		switch {
		case readErr == io.EOF: // bare: a wrapped one is a failure
			return at, nil
		case readErr != nil:
			return at, fmt.Errorf("upload of blob %s: %w after %d bytes: %w", o.Digest.Short(), storage.ErrSource, at, readErr)
		}
	}
}

// fillBuffer reads until buf is full or r ends, and says how r ended.
func fillBuffer(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var k int
		k, err = r.Read(buf[n:])
		n += k
	}
	return n, err
}

// write writes a part, if it is still the caller's turn.
func (t *turn) write(mine uint64, f *os.File, b []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last != mine {
		return ErrTakenOver
	}
	_, err := f.Write(b)
	return err
}

// Finish hands the whole of an upload to store, which verifies and keeps it. If
// it does, or if the bytes are not the blob's, they are forgotten here.
func (s *Store) Finish(o Owner, store func(io.Reader) error) error {
	_, _, leave := s.enter(o.name())
	defer leave()
	f, err := s.root.Open(o.name())
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("upload of blob %s: %w: nothing of it is here", o.Digest.Short(), ErrOffset)
	}
	if err != nil {
		return o.about(err)
	}
	err = store(f)
	if e := f.Close(); err == nil && e != nil {
		return o.about(e)
	}
	if err == nil || errors.Is(err, storage.ErrMismatch) {
		if e := s.root.Remove(o.name()); e != nil && !errors.Is(e, fs.ErrNotExist) {
			return errors.Join(err, o.about(e))
		}
	}
	return err
}

// Expire forgets beginnings that nobody has continued since before.
func (s *Store) Expire(before time.Time) error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("unfinished uploads: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.ModTime().Before(before) && !s.busy(e.Name()) {
			err = s.root.Remove(e.Name())
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("unfinished uploads: %w", err)
		}
	}
	return nil
}

func (s *Store) busy(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turns[name] != nil
}

// about names the upload that an error is about. nil stays nil.
func (o Owner) about(err error) error {
	switch {
	case err == nil:
		return nil
	case fsutil.IsNoSpace(err):
		err = fmt.Errorf("%w: %w", storage.ErrNoSpace, err)
	}
	return fmt.Errorf("upload of blob %s: %w", o.Digest.Short(), err)
}
