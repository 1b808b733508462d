package segments

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/sheafgrid/sheaf/internal/fsutil"
)

// disk is what a store asks of its directory. Tests put disks behind it that
// fail, or that forget at a power cut what was not synced.
type disk interface {
	create(name string) (file, error) // a file of that name is an error
	open(name string) (file, error)   // for reading and writing
	remove(name string) error
	sync() error             // puts the names onto the disk
	list() ([]string, error) // in their order
	close() error
}

// file is an open file of a disk.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	length() (int64, error)
}

// osDisk is a directory of the operating system. os.Root keeps every name
// inside of it, and on Windows removes files that are open.
type osDisk struct {
	path string
	root *os.Root
}

func openDisk(path string) (*osDisk, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &osDisk{path: path, root: root}, nil
}

func (d *osDisk) create(name string) (file, error) {
	return d.openFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (d *osDisk) open(name string) (file, error) { return d.openFile(name, os.O_RDWR) }

func (d *osDisk) openFile(name string, flags int) (file, error) {
	f, err := d.root.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d *osDisk) remove(name string) error { return d.root.Remove(name) }
func (d *osDisk) sync() error              { return fsutil.SyncDir(d.path) }
func (d *osDisk) close() error             { return d.root.Close() }

func (d *osDisk) list() ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

type osFile struct{ *os.File }

func (f osFile) length() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, &fs.PathError{Op: "read", Path: f.Name(), Err: errors.New("not a regular file")}
	}
	return info.Size(), nil
}
