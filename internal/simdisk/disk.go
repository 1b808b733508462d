// Package simdisk is a disk in memory for tests of what must survive a power
// cut: it knows what was synced. It can fail at any one of its steps, lose
// power at one, and say what a real disk may hold afterwards: of what was not
// synced, each name may be the old one or the new one, and each file may have
// all, nothing, a part, or some sectors of what was written.
//
// Names are relative, with forward slashes; "." is the root. It starts no
// goroutine, and is safe for many.
package simdisk

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sync"
)

// ErrPowerCut is what every step answers once the power is gone.
var ErrPowerCut = errors.New("the power is gone")

// Disk is a tree of files.
type Disk struct {
	mu     sync.Mutex
	dirs   map[string]*dir
	steps  int
	cutAt  int
	failAt int
	err    error
	failed string
	room   int // bytes, of all files; 0: no end
	full   error
}

// dir holds names, as they are now and as they were at the last sync.
type dir struct{ now, synced map[string]*node }

// node is a file or, without bytes, a directory.
type node struct {
	isDir       bool
	now, synced []byte
}

// New is an empty disk.
func New() *Disk { return &Disk{dirs: map[string]*dir{".": newDir()}} }

func newDir() *dir { return &dir{now: map[string]*node{}, synced: map[string]*node{}} }

// CutAt lets the power go at a step, counted from 1. 0 means never.
func (d *Disk) CutAt(step int) { d.set(func() { d.cutAt = step }) }

// FailAt lets one step fail, counted from 1. 0 means none.
func (d *Disk) FailAt(step int, err error) { d.set(func() { d.failAt, d.err = step, err }) }

// Room bounds the bytes of all files; a write beyond it writes what fits and
// answers err. 0 means no end.
func (d *Disk) Room(bytes int, err error) { d.set(func() { d.room, d.full = bytes, err }) }

func (d *Disk) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// Steps is how many there were.
func (d *Disk) Steps() (n int) {
	d.set(func() { n = d.steps })
	return n
}

// Dead reports that the power is gone.
func (d *Disk) Dead() (dead bool) {
	d.set(func() { dead = d.cutAt > 0 && d.steps >= d.cutAt })
	return dead
}

// Failed is what the step that FailAt named was: "create", "write", "sync
// file", "sync directory", "rename", "remove", "mkdir", "truncate", "close".
func (d *Disk) Failed() (what string) {
	d.set(func() { what = d.failed })
	return what
}

// Step counts something that reaches the disk by another way, and may fail it.
func (d *Disk) Step(what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.step(what)
}

// step is Step for who holds the lock.
func (d *Disk) step(what string) error {
	d.steps++
	switch {
	case d.cutAt > 0 && d.steps >= d.cutAt:
		return ErrPowerCut
	case d.steps == d.failAt:
		d.failed = what
		return &fs.PathError{Op: what, Path: "sim", Err: d.err}
	}
	return nil
}

// find is the directory of a name, the name within it, and what has it.
func (d *Disk) find(op, name string) (*dir, string, *node, error) {
	parent, ok := d.dirs[path.Dir(name)]
	if !ok {
		return nil, "", nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return parent, path.Base(name), parent.now[path.Base(name)], nil
}

// Create makes a file; one of that name is an error.
func (d *Disk) Create(name string) (*File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("create"); err != nil {
		return nil, err
	}
	in, base, n, err := d.find("create", name)
	if err != nil {
		return nil, err
	}
	if n != nil {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	n = &node{}
	in.now[base] = n
	return &File{disk: d, name: name, node: n}, nil
}

// Open opens a file for reading and writing.
func (d *Disk) Open(name string) (*File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _, n, err := d.find("open", name)
	if err != nil {
		return nil, err
	}
	if n == nil || n.isDir {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &File{disk: d, name: name, node: n}, nil
}

// Rename gives a file or a directory another name. It replaces a file.
func (d *Disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("rename"); err != nil {
		return err
	}
	fromDir, fromBase, n, err := d.find("rename", from)
	if err != nil {
		return err
	}
	toDir, toBase, old, err := d.find("rename", to)
	if err != nil {
		return err
	}
	if n == nil || old != nil && old.isDir {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	delete(fromDir.now, fromBase)
	toDir.now[toBase] = n
	if n.isDir {
		d.dirs[to] = d.dirs[from]
		delete(d.dirs, from)
	}
	return nil
}

// Remove removes a file, or an empty directory.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("remove"); err != nil {
		return err
	}
	in, base, n, err := d.find("remove", name)
	if err != nil {
		return err
	}
	if n == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if n.isDir {
		if len(d.dirs[name].now) > 0 {
			return &fs.PathError{Op: "remove", Path: name, Err: errors.New("directory not empty")}
		}
		delete(d.dirs, name)
	}
	delete(in.now, base)
	return nil
}

// Mkdir makes a directory.
func (d *Disk) Mkdir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("mkdir"); err != nil {
		return err
	}
	in, base, n, err := d.find("mkdir", name)
	if err != nil {
		return err
	}
	if n != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: fs.ErrExist}
	}
	in.now[base] = &node{isDir: true}
	d.dirs[name] = newDir()
	return nil
}

// SyncDir puts the names in a directory onto the disk.
func (d *Disk) SyncDir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("sync directory"); err != nil {
		return err
	}
	at, ok := d.dirs[name]
	if !ok {
		return &fs.PathError{Op: "sync", Path: name, Err: fs.ErrNotExist}
	}
	at.synced = maps.Clone(at.now)
	return nil
}

// List is the names in a directory, in their order.
func (d *Disk) List(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.dirs[name]
	if !ok {
		return nil, &fs.PathError{Op: "list", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Sorted(maps.Keys(at.now)), nil
}

// Size is that of a file, in bytes.
func (d *Disk) Size(name string) (int64, error) {
	f, err := d.Open(name)
	if err != nil {
		return 0, err
	}
	return f.Length()
}

// Put makes a file of bytes, or replaces it, without a step and without a sync.
// Its directory must be there.
func (d *Disk) Put(name string, b []byte) {
	d.set(func() { d.dirs[path.Dir(name)].now[path.Base(name)] = &node{now: b} })
}

// Bytes are a file's, as they are now; not a copy.
func (d *Disk) Bytes(name string) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	return f.node.now, nil
}
