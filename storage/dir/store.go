package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Store is a directory of blobs. Open one, and Close it.
type Store struct {
	config  Config
	disk    disk
	release func() error // of the lock

	packers packers
	cache   *cache
	buffers sync.Pool // *[storage.ChunkSize]byte, for chunks on their way in

	temp   atomic.Uint64
	shards shardSet
	usage  usage

	mu     sync.Mutex
	closed bool
	broken error          // of a sync that failed
	calls  sync.WaitGroup // calls that are running
}

var _ storage.Blobs = (*Store)(nil)

// Open opens the store in a directory and makes it if there is none. It looks
// at the name and size of every file, to know what space is used: about a
// second for each 100,000 blobs. It works on a full disk.
//
// A directory that holds something else, one made by a newer version, and one
// that another process has open (fsutil.ErrLocked) are refused.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := fsutil.MkdirAllSync(c.Path, 0o700); err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	d, err := openDisk(c.Path)
	if err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	s, err := openLocked(ctx, c, d)
	if err != nil {
		_ = d.close()
		return nil, err
	}
	return s, nil
}

// openLocked looks before it locks, so that nothing is written, not even a
// lock file, into a directory that belongs to something else.
func openLocked(ctx context.Context, c Config, d *osDisk) (*Store, error) {
	if _, err := checkFormat(d, c.Path); err != nil {
		return nil, err
	}
	release, err := fsutil.Lock(filepath.Join(c.Path, lockName))
	if errors.Is(err, fsutil.ErrLocked) {
		return nil, fmt.Errorf("blob store %s is open already; stop the other process or choose another directory: %w", c.Path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("blob store %s: %w", c.Path, err)
	}
	s, err := openOn(ctx, c, d, release)
	if err != nil {
		_ = release()
		return nil, err
	}
	return s, nil
}

// openOn opens the store on a disk that nobody else uses.
func openOn(ctx context.Context, c Config, d disk, release func() error) (*Store, error) {
	c = c.withDefaults()
	s := &Store{
		config: c, disk: d, release: release,
		packers: newPackers(c.Coders), cache: newCache(c.Coders),
	}
	s.buffers.New = func() any { return new([storage.ChunkSize]byte) }
	s.usage.quota = c.Quota
	made, err := checkFormat(d, c.Path)
	if err != nil {
		return nil, err
	}
	if !made {
		err = makeStore(d)
	}
	if err == nil {
		err = emptyTmp(d)
	}
	if err == nil {
		err = s.shards.find(d)
	}
	if err == nil {
		err = s.count(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("blob store %s: %w", c.Path, err)
	}
	return s, nil
}

// Close waits for the calls that are running, whose contexts the caller may
// end before, and gives the directory back. Blobs that are open stay readable;
// every other use fails with fs.ErrClosed from now on.
func (s *Store) Close() error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	if already {
		return nil
	}
	err := s.disk.close()
	if e := s.release(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("blob store %s: %w", s.config.Path, err)
	}
	return nil
}

// enter begins a call; without an error, the caller must call s.calls.Done.
func (s *Store) enter(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("blob store %s: %w", s.config.Path, fs.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("blob store %s: %w", s.config.Path, err)
	}
	s.calls.Add(1)
	return nil
}

// enterWrite begins a call that writes. After a sync that failed there are no
// more of them: the system may have dropped what it could not write, and would
// call the next sync a success.
func (s *Store) enterWrite(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	broken := s.broken
	s.mu.Unlock()
	if broken != nil {
		s.calls.Done()
		return fmt.Errorf("blob store %s takes nothing more until it is opened again: %w", s.config.Path, broken)
	}
	return nil
}

// synced passes on the error of a sync, and remembers it.
func (s *Store) synced(err error) error {
	if err == nil || fsutil.IsNoSpace(err) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = err
	}
	return err
}

// noSpace gives an error of the disk its sentinel, if it says that the disk is
// full.
func noSpace(err error) error {
	if fsutil.IsNoSpace(err) {
		return fmt.Errorf("%w: %w", storage.ErrNoSpace, err)
	}
	return err
}

// diskError names the blob that an error of the disk is about. nil stays nil.
func diskError(digest task.Digest, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("blob %s: %w", digest, noSpace(err))
}

// Has implements storage.Blobs.
func (s *Store) Has(ctx context.Context, digest task.Digest) (bool, error) {
	if err := s.enter(ctx); err != nil {
		return false, err
	}
	defer s.calls.Done()
	_, err := s.disk.size(blobName(digest))
	if errors.Is(err, fs.ErrNotExist) || err == nil && s.shards.hidden(digest) {
		return false, nil
	}
	return err == nil, diskError(digest, err)
}

// Delete implements storage.Blobs. Blobs that are open stay readable.
func (s *Store) Delete(ctx context.Context, digest task.Digest) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	name, lock := blobName(digest), &s.shards.names[digest[0]]
	lock.Lock()
	defer lock.Unlock()
	size, err := s.disk.size(name)
	if err == nil {
		err = s.disk.remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diskError(digest, err)
	}
	s.shards.show(digest)
	s.usage.remove(size)
	return nil
}
