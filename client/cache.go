package client

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/task"
)

// errMismatch: what came is not what its digest says.
var errMismatch = errors.New("does not match its digest")

// errDisk is wrapped by errors of this machine's own disk.
var errDisk = errors.New("the disk of this machine fails")

func diskError(err error) error {
	if fsutil.IsNoSpace(err) {
		return fmt.Errorf("%w: no space is left: %w", errDisk, err)
	}
	return fmt.Errorf("%w: %w", errDisk, err)
}

// unfinished begins the names of files that are being written.
const unfinished = "new-"

// cache keeps programs and input ranges in files named by their digests, and
// drops those that were not used for longest when they take too much room. A
// file is verified each time that it is taken, so the files need not be synced
// and may be deleted at any time. Its methods may be called from any goroutine.
type cache struct {
	dir   string
	limit int64

	mu      sync.Mutex
	entries map[task.Digest]*cacheEntry
	size    int64
}

type cacheEntry struct {
	size  int64
	used  time.Time
	pins  int           // files that are in use are not dropped
	ready chan struct{} // closed when nobody fetches or verifies it
}

// cached is a file of the cache that is in use. It is read from its beginning
// or at any place, and given back with Close.
type cached struct {
	*os.File
	size    int64
	release func()
}

// Close gives the file back.
func (f *cached) Close() error {
	err := f.File.Close()
	if f.release != nil {
		f.release()
		f.release = nil
	}
	return err
}

// openCache takes over the files of an earlier run.
func openCache(dir string, limit int64) (*cache, error) {
	c := &cache{dir: dir, limit: limit, entries: map[task.Digest]*cacheEntry{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), unfinished) {
			_ = os.Remove(filepath.Join(dir, f.Name())) // what stays is tried again next time
			continue
		}
		digest, err := task.ParseDigest(f.Name())
		if err != nil {
			continue // not ours
		}
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
			c.entries[digest] = &cacheEntry{size: info.Size(), used: info.ModTime()}
			c.size += info.Size()
		}
	}
	c.evict()
	return c, nil
}

func (c *cache) path(d task.Digest) string { return filepath.Join(c.dir, d.String()) }

// take returns the content with a digest, from the disk or from fetch, which
// writes it. It has at most limit bytes. Errors wrap errMismatch where twice
// something else came, errDisk where this machine's disk fails; others are
// fetch's or ctx's.
func (c *cache) take(ctx context.Context, d task.Digest, limit int64, fetch func(io.Writer) error) (*cached, error) {
	e, err := c.lock(ctx, d)
	if err != nil {
		return nil, err
	}
	f, err := c.verified(d)
	for try := 0; f == nil && err == nil && try < 2; try++ {
		f, err = c.fetch(d, limit, fetch)
		if errors.Is(err, errMismatch) && try == 0 && ctx.Err() == nil {
			err = nil // the line may be at fault
		}
	}
	c.unlock(d, e, f)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// lock waits until nobody else works on a digest's file, and pins it.
func (c *cache) lock(ctx context.Context, d task.Digest) (*cacheEntry, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		e := c.entries[d]
		if e == nil {
			e = &cacheEntry{}
			c.entries[d] = e
		}
		if e.ready == nil {
			e.ready = make(chan struct{})
			e.pins++
			return e, nil
		}
		ready := e.ready
		c.mu.Unlock()
		var err error
		select {
		case <-ready:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		c.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
}

// unlock ends what lock began. f is nil where there is no file now.
func (c *cache) unlock(d task.Digest, e *cacheEntry, f *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(e.ready)
	e.ready = nil
	c.size -= e.size
	if f == nil {
		delete(c.entries, d)
		return
	}
	e.size, e.used = f.size, time.Now()
	c.size += e.size
	f.release = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		e.pins--
		c.evict()
	}
	c.evict()
}

// evict drops the files used longest ago until the rest fits. The caller holds
// mu, or has the cache to itself.
func (c *cache) evict() {
	if c.size <= c.limit {
		return
	}
	var old []task.Digest
	for d, e := range c.entries {
		if e.pins == 0 {
			old = append(old, d)
		}
	}
	slices.SortFunc(old, func(a, b task.Digest) int {
		if n := c.entries[a].used.Compare(c.entries[b].used); n != 0 {
			return n
		}
		return cmp.Compare(a.String(), b.String())
	})
	for _, d := range old {
		if c.size <= c.limit {
			return
		}
		if err := os.Remove(c.path(d)); err != nil && !errors.Is(err, os.ErrNotExist) {
			continue // it goes on counting
		}
		c.size -= c.entries[d].size
		delete(c.entries, d)
	}
}

// verified opens a file that is on the disk and is what its name says; nil
// where there is none. One that is damaged is removed.
func (c *cache) verified(d task.Digest) (*cached, error) {
	f, err := os.Open(c.path(d))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, diskError(err)
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil || task.Digest(h.Sum(nil)) != d {
		_ = f.Close()
		if err := os.Remove(c.path(d)); err != nil {
			return nil, diskError(err)
		}
		return nil, nil
	}
	now := time.Now()
	_ = os.Chtimes(c.path(d), now, now) // only the order after a restart depends on it
	return &cached{File: f, size: n}, nil
}

// fetch writes the content to the disk and verifies it on the way.
func (c *cache) fetch(d task.Digest, limit int64, fetch func(io.Writer) error) (*cached, error) {
	f, err := os.CreateTemp(c.dir, unfinished+"*")
	if err != nil {
		return nil, diskError(err)
	}
	h := sha256.New()
	w := &boundedFile{f: f, left: limit}
	err = fetch(io.MultiWriter(h, w))
	if err == nil && task.Digest(h.Sum(nil)) != d {
		err = fmt.Errorf("%s %w", d.Short(), errMismatch)
	}
	// Not every system renames a file that is open.
	if e := f.Close(); err == nil && e != nil {
		err = diskError(e)
	}
	if err == nil {
		if e := os.Rename(f.Name(), c.path(d)); e != nil {
			err = diskError(e)
		}
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return nil, err
	}
	open, err := os.Open(c.path(d))
	if err != nil {
		return nil, diskError(err)
	}
	return &cached{File: open, size: limit - w.left}, nil
}

// boundedFile takes at most left further bytes.
type boundedFile struct {
	f    *os.File
	left int64
}

func (w *boundedFile) Write(b []byte) (int, error) {
	if int64(len(b)) > w.left {
		return 0, fmt.Errorf("more bytes than were announced: it %w", errMismatch)
	}
	n, err := w.f.Write(b)
	w.left -= int64(n)
	if err != nil {
		return n, diskError(err)
	}
	return n, nil
}
