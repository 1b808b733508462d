package consensus

import (
	"io"
	"os"
	"path/filepath"

	"github.com/sheafgrid/sheaf/internal/fsutil"
)

// disk is what the snapshots ask of their folder. Names are relative to it,
// with forward slashes; "." is the folder itself. Tests put disks behind it
// that fail, or that forget at a power cut what was not synced.
type disk interface {
	create(name string) (file, error) // for writing; a file of that name is an error
	open(name string) (file, error)   // for reading
	rename(from, to string) error
	remove(name string) error // of a file, or of an empty folder
	mkdir(name string) error
	syncDir(name string) error
	list(name string) ([]string, error) // names in a folder, in their order
}

// file is an open file of a disk.
type file interface {
	io.ReadWriteCloser
	Sync() error
}

// osDisk is a folder of the operating system.
type osDisk struct{ path string }

func (d osDisk) at(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

func (d osDisk) create(name string) (file, error) {
	return openedFile(os.OpenFile(d.at(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600))
}

func (d osDisk) open(name string) (file, error) { return openedFile(os.Open(d.at(name))) }

// openedFile keeps a nil file from becoming an interface that is not nil.
func openedFile(f *os.File, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d osDisk) rename(from, to string) error { return os.Rename(d.at(from), d.at(to)) }
func (d osDisk) remove(name string) error     { return os.Remove(d.at(name)) }
func (d osDisk) mkdir(name string) error      { return os.Mkdir(d.at(name), 0o700) }
func (d osDisk) syncDir(name string) error    { return fsutil.SyncDir(d.at(name)) }

func (d osDisk) list(name string) ([]string, error) {
	entries, err := os.ReadDir(d.at(name))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}
