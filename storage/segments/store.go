package segments

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/storage"
)

// Store is a directory of segments. Open one, and Close it. All its methods
// may be called at the same time from anywhere.
type Store struct {
	config  Config
	disk    disk
	release func() error // of the lock
	damage  Damage       // found by Open
	queue   queue

	// turn is held by whoever changes something. What only its holder uses:
	turn    sync.Mutex
	active  *segment          // gets the next record; nil if there is none
	dirty   bool              // active has notes that are not synced
	newest  uint32            // the highest number a segment ever had
	pending []location        // to be noted: they count no more
	out     []byte            // records on their way to the disk
	placed  []placement       // of write, to be used again
	written map[name]struct{} // of write, too
	most    int               // how many were in written at once

	damaged map[location]recordHeader // used by Open alone

	// mu guards what readers see, for moments only; the holder of turn reads it
	// without.
	mu       sync.RWMutex
	index    *index
	segments []*segment // by their numbers
	bytes    int64      // of all segments

	state  sync.Mutex
	closed bool
	broken error          // of a write or sync that failed
	calls  sync.WaitGroup // calls that are running

	windows sync.Pool // of *[window]byte: what EachOf reads into
	places  sync.Pool // of *[]uint64: where that is
}

// Open opens the store in a directory and makes it if there is none. It reads
// all segments, at the speed of the disk or about a million blobs a second. It
// works on a full disk.
//
// A directory that holds something else, segments made by a newer version, and
// a store that another process has open (fsutil.ErrLocked) are refused, and so
// is one with a file that the disk cannot read. Damage is not: see Damage.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := fsutil.MkdirAllSync(c.Path, 0o700); err != nil {
		return nil, fmt.Errorf("segments: %w", err)
	}
	d, err := openDisk(c.Path)
	if err != nil {
		return nil, fmt.Errorf("segments: %w", err)
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
	if _, err := listSegments(d, c.Path); err != nil {
		return nil, err
	}
	release, err := fsutil.Lock(filepath.Join(c.Path, lockName))
	if errors.Is(err, fsutil.ErrLocked) {
		return nil, fmt.Errorf("segments %s are open already; stop the other process or choose another directory: %w", c.Path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("segments %s: %w", c.Path, err)
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
	s := &Store{
		windows: sync.Pool{New: func() any { return new([window]byte) }},
		places:  sync.Pool{New: func() any { return new([]uint64) }},
		config:  c.withDefaults(), disk: d, release: release,
		index: newIndex(), written: map[name]struct{}{}, damaged: map[location]recordHeader{},
	}
	if err := s.recover(ctx); err != nil {
		s.closeFiles()
		return nil, err
	}
	return s, nil
}

// Close waits for the calls that are running, whose contexts the caller may end
// before, and gives the directory back. Every other use fails with fs.ErrClosed
// from now on.
func (s *Store) Close() error {
	s.state.Lock()
	already, broken := s.closed, s.broken
	s.closed = true
	s.state.Unlock()
	s.calls.Wait()
	if already {
		return nil
	}
	var err error
	if broken == nil {
		err = s.flushNotes()
	}
	if err == nil && broken == nil {
		err = s.seal()
	}
	s.closeFiles()
	for _, end := range []func() error{s.disk.close, s.release} {
		if e := end(); err == nil {
			err = e
		}
	}
	if err != nil {
		return s.about(err)
	}
	return nil
}

func (s *Store) closeFiles() {
	for _, g := range s.segments {
		g.leave()
	}
}

// enter begins a call; without an error, the caller must call s.calls.Done.
func (s *Store) enter(ctx context.Context) error {
	s.state.Lock()
	defer s.state.Unlock()
	if s.closed {
		return s.about(fs.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return s.about(err)
	}
	s.calls.Add(1)
	return nil
}

// enterWrite begins a call that writes.
func (s *Store) enterWrite(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if err := s.mayWrite(); err != nil {
		s.calls.Done()
		return s.about(err)
	}
	return nil
}

// about names the store that an error is about.
func (s *Store) about(err error) error { return fmt.Errorf("segments %s: %w", s.config.Path, err) }

// mayWrite refuses to write after a write or sync that failed: the system may
// have dropped what it could not write, and would call the next sync a success.
func (s *Store) mayWrite() error {
	s.state.Lock()
	defer s.state.Unlock()
	if s.broken != nil {
		return fmt.Errorf("nothing more is taken until they are opened again: %w", s.broken)
	}
	return nil
}

// wrote passes on the error of a write or sync. A full disk is ErrNoSpace; any
// other is remembered, and was the last.
func (s *Store) wrote(err error) error {
	if err == nil || fsutil.IsNoSpace(err) {
		return noSpace(err)
	}
	return s.breakDown(err)
}

func (s *Store) breakDown(err error) error {
	s.state.Lock()
	defer s.state.Unlock()
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

// Usage tells what the store holds. Bytes are those of its files; what was
// dropped is among them until Compact has made room.
func (s *Store) Usage() storage.Usage {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return storage.Usage{Blobs: s.index.count, Bytes: s.bytes, Quota: s.config.Quota}
}
