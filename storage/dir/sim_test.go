package dir

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
)

// simDisk is a disk in memory that knows what was synced. It can fail at one
// of its steps, lose power at one, and say what a disk may hold afterwards.
type simDisk struct {
	mu    sync.Mutex
	dirs  map[string]*simDir
	steps int

	failAt   int // the step that fails once; 0 means none
	failWith error
	failed   string // what failed
	cutAt    int    // the step at which the power goes; 0 means never

	beforeSyncDir func(name string) // if set, called first
}

var errPowerCut = errors.New("the power is gone")

// simDir holds names, as they are now and as they were at the last sync.
type simDir struct {
	now, synced map[string]*simNode
}

// simNode is a file or, without bytes of its own, a directory.
type simNode struct {
	isDir       bool
	now, synced []byte
}

func newSimDisk() *simDisk {
	return &simDisk{dirs: map[string]*simDir{".": {now: map[string]*simNode{}, synced: map[string]*simNode{}}}}
}

// step counts something that reaches the disk, and may fail it.
func (d *simDisk) step(what string) error {
	d.steps++
	switch {
	case d.cutAt > 0 && d.steps >= d.cutAt:
		return errPowerCut
	case d.steps == d.failAt:
		d.failed = what
		return &fs.PathError{Op: what, Path: "sim", Err: d.failWith}
	}
	return nil
}

func (d *simDisk) find(name string) (*simDir, string, *simNode, error) {
	parent, ok := d.dirs[path.Dir(name)]
	if !ok {
		return nil, "", nil, fs.ErrNotExist
	}
	return parent, path.Base(name), parent.now[path.Base(name)], nil
}

func (d *simDisk) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("create"); err != nil {
		return nil, err
	}
	dir, base, node, err := d.find(name)
	if err != nil {
		return nil, err
	}
	if node != nil {
		return nil, fs.ErrExist
	}
	node = &simNode{}
	dir.now[base] = node
	return &simFile{disk: d, node: node}, nil
}

func (d *simDisk) open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _, node, err := d.find(name)
	if err != nil {
		return nil, err
	}
	if node == nil {
		return nil, fs.ErrNotExist
	}
	return &simFile{disk: d, node: node}, nil
}

func (d *simDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("rename"); err != nil {
		return err
	}
	fromDir, fromBase, node, err := d.find(from)
	if err != nil {
		return err
	}
	toDir, toBase, _, err := d.find(to)
	if err != nil {
		return err
	}
	if node == nil {
		return fs.ErrNotExist
	}
	delete(fromDir.now, fromBase)
	toDir.now[toBase] = node
	return nil
}

func (d *simDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("remove"); err != nil {
		return err
	}
	dir, base, node, err := d.find(name)
	if err != nil {
		return err
	}
	if node == nil {
		return fs.ErrNotExist
	}
	delete(dir.now, base)
	return nil
}

func (d *simDisk) mkdir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("mkdir"); err != nil {
		return err
	}
	dir, base, node, err := d.find(name)
	if err != nil {
		return err
	}
	if node != nil {
		return fs.ErrExist
	}
	dir.now[base] = &simNode{isDir: true}
	d.dirs[name] = &simDir{now: map[string]*simNode{}, synced: map[string]*simNode{}}
	return nil
}

func (d *simDisk) syncDir(name string) error {
	if d.beforeSyncDir != nil {
		d.beforeSyncDir(name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("sync directory"); err != nil {
		return err
	}
	dir, ok := d.dirs[name]
	if !ok {
		return fs.ErrNotExist
	}
	dir.synced = maps.Clone(dir.now)
	return nil
}

func (d *simDisk) list(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, ok := d.dirs[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Sorted(maps.Keys(dir.now)), nil
}

func (d *simDisk) size(name string) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _, node, err := d.find(name)
	if err != nil {
		return 0, err
	}
	if node == nil {
		return 0, fs.ErrNotExist
	}
	return int64(len(node.now)), nil
}

func (d *simDisk) close() error { return nil }

type simFile struct {
	disk *simDisk
	node *simNode
}

func (f *simFile) Write(p []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.disk.step("write")
	if err != nil {
		p = p[:len(p)/2]
	}
	f.node.now = append(f.node.now, p...)
	return len(p), err
}

func (f *simFile) ReadAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off > int64(len(f.node.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *simFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.step("sync file"); err != nil {
		return err
	}
	f.node.synced = slices.Clone(f.node.now)
	return nil
}

func (f *simFile) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.disk.step("close")
}

func (f *simFile) length() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.node.now)), nil
}

// afterPowerCut is a disk as it may be found later: what was synced is there;
// of what was not, each name and each file's bytes may be old, new, or for
// bytes something between.
func (d *simDisk) afterPowerCut(rnd *rand.Rand) *simDisk {
	after := &simDisk{dirs: map[string]*simDir{}}
	nodes := map[*simNode]*simNode{}
	var keep func(name string)
	keep = func(name string) {
		dir := d.dirs[name]
		left := map[string]*simNode{}
		for _, base := range slices.Sorted(maps.Keys(union(dir.now, dir.synced))) {
			node := dir.synced[base]
			if dir.now[base] != node && rnd.IntN(2) == 0 {
				node = dir.now[base]
			}
			if node == nil {
				continue
			}
			if nodes[node] == nil {
				nodes[node] = node.afterPowerCut(rnd)
			}
			left[base] = nodes[node]
			if node.isDir {
				keep(path.Join(name, base))
			}
		}
		after.dirs[name] = &simDir{now: left, synced: maps.Clone(left)}
	}
	keep(".")
	return after
}

func union(a, b map[string]*simNode) map[string]*simNode {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func (n *simNode) afterPowerCut(rnd *rand.Rand) *simNode {
	left := slices.Clone(n.synced)
	if len(n.now) > len(n.synced) {
		switch rnd.IntN(4) {
		case 0: // all of it got there
			left = slices.Clone(n.now)
		case 1: // a part
			left = slices.Clone(n.now[:len(n.synced)+rnd.IntN(len(n.now)-len(n.synced))])
		case 2: // its length, but not its bytes
			left = append(left, make([]byte, len(n.now)-len(n.synced))...)
		}
	}
	return &simNode{isDir: n.isDir, now: left, synced: slices.Clone(left)}
}
