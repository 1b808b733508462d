package dir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sheafgrid/sheaf/internal/fsutil"
)

// disk is what a store asks of its directory. Names are relative to it, with
// forward slashes; "." is the directory itself. Tests put disks behind it that
// fail, or that forget at a power cut what was not synced.
type disk interface {
	create(name string) (file, error) // for writing; a file of that name is an error
	open(name string) (file, error)   // for reading
	rename(from, to string) error     // replaces to
	remove(name string) error
	mkdir(name string) error
	syncDir(name string) error
	list(name string) ([]string, error) // names in a directory, in their order
	size(name string) (int64, error)    // of a regular file
	close() error
}

// file is an open file of a disk.
type file interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Sync() error
	length() (int64, error)
}

// osDisk is a directory of the operating system. os.Root keeps every name
// inside of it, and on Windows renames and removes files that are open.
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
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d *osDisk) open(name string) (file, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d *osDisk) rename(from, to string) error { return d.root.Rename(from, to) }
func (d *osDisk) remove(name string) error     { return d.root.Remove(name) }
func (d *osDisk) mkdir(name string) error      { return d.root.Mkdir(name, 0o700) }
func (d *osDisk) close() error                 { return d.root.Close() }

func (d *osDisk) syncDir(name string) error {
	return fsutil.SyncDir(filepath.Join(d.path, filepath.FromSlash(name)))
}

func (d *osDisk) list(name string) ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), name)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (d *osDisk) size(name string) (int64, error) {
	info, err := d.root.Lstat(name)
	if err != nil {
		return 0, err
	}
	return regularSize(name, info)
}

type osFile struct{ *os.File }

func (f osFile) length() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return regularSize(f.Name(), info)
}

func regularSize(name string, info fs.FileInfo) (int64, error) {
	if !info.Mode().IsRegular() {
		return 0, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	return info.Size(), nil
}
