package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/sheafgrid/sheaf/internal/fsutil"
)

// schema is the version of what is in the file. A program reads its own and
// refuses later ones; when it grows, Open upgrades what is older.
const schema uint16 = 1

// lockWait is how long Open waits for another program that has the journal.
const lockWait = time.Second

// Journal is an open journal.
type Journal struct {
	path string
	db   *bolt.DB
}

// Open opens the journal at path, or makes it; its folder must exist.
func Open(path string) (*Journal, error) {
	j := &Journal{path: path}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = create(path)
	} else if err == nil && (!info.Mode().IsRegular() || info.Size() == 0) {
		err = fmt.Errorf("%w: it is empty, or no file", ErrDamaged) // bbolt would take an empty file for a new journal
	}
	if err != nil {
		return nil, j.named(err)
	}
	if err := j.inspect(); err != nil {
		return nil, err
	}
	if err := j.open(false); err != nil {
		return nil, err
	}
	return j, nil
}

// Close gives the file back. Calling it again does nothing.
func (j *Journal) Close() error { return j.db.Close() }

// create makes an empty journal under another name first, so that one that is
// there is whole, however the program ended.
func create(path string) error {
	unfinished := path + ".new"
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(unfinished, 0o600, options(false))
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketAttempts, bucketResults, bucketPublishers} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return put(tx.Bucket(bucketMeta), keySchema, frameSchema, schemaBytes{schema})
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Rename(unfinished, path); err != nil {
		return err
	}
	return fsutil.SyncDir(filepath.Dir(path))
}

func options(readOnly bool) *bolt.Options {
	return &bolt.Options{
		Timeout: lockWait, ReadOnly: readOnly, NoStatistics: true,
		FreelistType: bolt.FreelistMapType, NoFreelistSync: true,
	}
}

// inspect reads the whole file before it is opened for writing, and holds its
// lock meanwhile.
func (j *Journal) inspect() error {
	if err := j.open(true); err != nil {
		return err
	}
	err := j.view(func(tx *bolt.Tx) error {
		if err := j.inspectPages(); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err := checkSchema(tx); err != nil {
			return err
		}
		_, err := read(tx)
		return err
	})
	return errors.Join(err, j.db.Close())
}

func (j *Journal) inspectPages() error {
	f, err := os.Open(j.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return checkPages(f, info.Size())
}

func checkSchema(tx *bolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return fmt.Errorf("%w: it is no journal of Sheaf", ErrDamaged)
	}
	var s schemaBytes
	found, err := get(meta, keySchema, frameSchema, &s, "its version")
	switch {
	case err != nil:
		return err
	case !found || s.Version == 0:
		return fmt.Errorf("%w: it has no version", ErrDamaged)
	case s.Version > schema:
		return fmt.Errorf("%w (%d, this program knows %d); install that version", ErrNewer, s.Version, schema)
	}
	for _, name := range [][]byte{bucketAttempts, bucketResults, bucketPublishers} {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%w: the bucket %s is missing", ErrDamaged, name)
		}
	}
	return nil
}

// open opens the database. bbolt panics where pages of it cannot be.
func (j *Journal) open(readOnly bool) (err error) {
	defer j.guard(&err)()
	j.db, err = bolt.Open(j.path, 0o600, options(readOnly))
	var path *fs.PathError
	var number syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("%w: another program on this machine works with it; end that one, or give this one a folder of its own", ErrInUse)
	case err != nil && !errors.As(err, &path) && !errors.As(err, &number): // not the system's word, so bbolt's about the file
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// view and update run a transaction.
func (j *Journal) view(fn func(*bolt.Tx) error) (err error) {
	defer j.guard(&err)()
	return j.db.View(fn)
}

func (j *Journal) update(fn func(*bolt.Tx) error) (err error) {
	defer j.guard(&err)()
	return j.db.Update(fn)
}

// guard turns what bbolt does with a damaged file, panics and faults in mapped
// memory, into an error, and names the file in every error. The function that
// it returns is to be deferred.
func (j *Journal) guard(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			*err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
		*err = j.named(*err)
	}
}

// named adds to an error which journal it is about, and what to do.
func (j *Journal) named(err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("journal %s: %w", j.path, err)
	if errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w; move the file away to start with an empty one: the keys stay, and what was accepted goes to other machines", err)
	}
	return err
}
