package dir

import (
	"math/rand/v2"

	"github.com/sheafgrid/sheaf/internal/simdisk"
)

// simDisk is a simulated disk as a store sees it.
type simDisk struct {
	*simdisk.Disk
	beforeSyncDir func(name string) // if set, called first
}

var _ disk = (*simDisk)(nil)

func newSimDisk() *simDisk { return &simDisk{Disk: simdisk.New()} }

// simFile keeps a nil file from becoming an interface that is not nil.
func simFile(f *simdisk.File, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return lengthFile{f}, nil
}

type lengthFile struct{ *simdisk.File }

func (f lengthFile) length() (int64, error) { return f.Length() }

func (d *simDisk) create(name string) (file, error)   { return simFile(d.Create(name)) }
func (d *simDisk) open(name string) (file, error)     { return simFile(d.Open(name)) }
func (d *simDisk) rename(from, to string) error       { return d.Rename(from, to) }
func (d *simDisk) remove(name string) error           { return d.Remove(name) }
func (d *simDisk) mkdir(name string) error            { return d.Mkdir(name) }
func (d *simDisk) list(name string) ([]string, error) { return d.List(name) }
func (d *simDisk) size(name string) (int64, error)    { return d.Size(name) }
func (d *simDisk) close() error                       { return nil }

func (d *simDisk) syncDir(name string) error {
	if d.beforeSyncDir != nil {
		d.beforeSyncDir(name)
	}
	return d.SyncDir(name)
}

// afterPowerCut is a disk as it may be found later.
func (d *simDisk) afterPowerCut(rnd *rand.Rand) *simDisk {
	return &simDisk{Disk: d.AfterPowerCut(rnd)}
}
