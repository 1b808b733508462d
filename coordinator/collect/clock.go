package collect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Clock is the latest cluster time that a node has heard of: from its own
// state, and from peers, which may be ahead of it. It never goes back, not even
// when the process begins anew: a file holds a time that none it told has
// passed.
type Clock struct {
	path string // "": not kept

	mu    sync.Mutex
	now   task.Millis
	bound task.Millis // what the file says
	began task.Millis // what it said when the process began
}

// boundAhead is how far ahead of the time the file's is, so that it is written
// rarely.
const boundAhead task.Millis = 10 * 60 * 1000

// clockFile is what the file holds.
type clockFile struct {
	Bound task.Millis `json:"kept_before_ms"`
}

// OpenClock opens the clock that a file keeps. An empty path is a clock that
// nothing outlives.
func OpenClock(path string) (*Clock, error) {
	c := &Clock{path: path}
	if path == "" {
		return c, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	var f clockFile
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err == nil && f.Bound < 0 {
		err = errors.New("a negative time")
	}
	if err != nil {
		return nil, fmt.Errorf("clock of the blobs %s: %w; if it cannot be mended, delete it: unused blobs are then deleted a day early, once", path, err)
	}
	c.now, c.bound, c.began = f.Bound, f.Bound, f.Bound
	return c, nil
}

// Hear moves the clock forward. Without an error the time is durable in this
// sense: after a restart, began is later.
func (c *Clock) Hear(now task.Millis) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now <= c.now {
		return nil
	}
	if now > c.bound && c.path != "" {
		b, err := json.Marshal(clockFile{now + boundAhead})
		if err == nil {
			err = fsutil.WriteFileAtomic(c.path, b, 0o600)
		}
		if fsutil.IsNoSpace(err) {
			err = fmt.Errorf("%w: %w", storage.ErrNoSpace, err)
		}
		if err != nil {
			return fmt.Errorf("clock of the blobs: %w", err)
		}
		c.bound = now + boundAhead
	}
	c.now = now
	return nil
}

// Now is the latest time heard of.
func (c *Clock) Now() task.Millis {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}
