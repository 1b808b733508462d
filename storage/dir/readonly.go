package dir

import (
	"context"
	"fmt"
	"io/fs"
	"sync"

	"github.com/sheafgrid/sheaf/storage"
)

// OpenReadOnly opens the store in a directory for looking: nothing is written
// there, no lock is taken, and nobody else may have it open. What would change
// something fails with fs.ErrPermission.
func OpenReadOnly(ctx context.Context, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	root, err := openDisk(c.Path)
	if err != nil {
		return nil, fmt.Errorf("blob store: %w", err)
	}
	c = c.withDefaults()
	s := &Store{
		config: c, disk: lookingDisk{root}, release: func() error { return nil },
		packers: newPackers(c.Coders), cache: newCache(c.Coders), broken: fs.ErrPermission,
	}
	s.buffers = sync.Pool{New: func() any { return new([storage.ChunkSize]byte) }}
	made, err := checkFormat(s.disk, c.Path)
	if err == nil && !made {
		err = fmt.Errorf("it is empty: %w", fs.ErrNotExist)
	}
	if err == nil {
		err = s.shards.find(s.disk)
	}
	if err == nil {
		err = s.count(ctx)
	}
	if err != nil {
		_ = root.close()
		return nil, fmt.Errorf("blob store %s: %w", c.Path, err)
	}
	return s, nil
}

// lookingDisk is a disk on which nothing changes.
type lookingDisk struct{ disk }

func (lookingDisk) create(string) (file, error) { return nil, fs.ErrPermission }
func (lookingDisk) rename(string, string) error { return fs.ErrPermission }
func (lookingDisk) remove(string) error         { return fs.ErrPermission }
func (lookingDisk) mkdir(string) error          { return fs.ErrPermission }
func (lookingDisk) syncDir(string) error        { return nil } // what is there is looked at, durable or not
