package segments

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
)

// simDisk is a directory in memory that knows what was synced. It can fail at
// one of its steps, lose power at one, and say what a disk may hold afterwards.
type simDisk struct {
	mu          sync.Mutex
	now, synced map[string]*simNode
	steps       int
	syncs       int // of files

	failAt   int // the step that fails once; 0 means none
	failWith error
	failed   string // what failed
	cutAt    int    // the step at which the power goes; 0 means never
	room     int    // bytes of files, after which the disk is full; 0 means no end
	full     error  // what it answers then

	beforeSync func() // if set, called before a file is synced
	unreadable string // the file that cannot be read
}

var errPowerCut = errors.New("the power is gone")

type simNode struct {
	now, synced []byte
}

func newSimDisk() *simDisk {
	return &simDisk{now: map[string]*simNode{}, synced: map[string]*simNode{}}
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

func (d *simDisk) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("create"); err != nil {
		return nil, err
	}
	if d.now[name] != nil {
		return nil, fs.ErrExist
	}
	d.now[name] = &simNode{}
	return &simFile{disk: d, name: name, node: d.now[name]}, nil
}

func (d *simDisk) open(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now[name] == nil {
		return nil, fs.ErrNotExist
	}
	return &simFile{disk: d, name: name, node: d.now[name]}, nil
}

func (d *simDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("remove"); err != nil {
		return err
	}
	if d.now[name] == nil {
		return fs.ErrNotExist
	}
	delete(d.now, name)
	return nil
}

func (d *simDisk) sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("sync directory"); err != nil {
		return err
	}
	d.synced = maps.Clone(d.now)
	return nil
}

func (d *simDisk) list() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.now)), nil
}

func (d *simDisk) close() error { return nil }

// used is how many bytes all files have.
func (d *simDisk) used() int {
	n := 0
	for _, f := range d.now {
		n += len(f.now)
	}
	return n
}

type simFile struct {
	disk *simDisk
	name string
	node *simNode
}

func (f *simFile) WriteAt(p []byte, off int64) (int, error) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.step("write")
	if err != nil {
		p = p[:len(p)/2]
	}
	if grow := int(off) + len(p) - len(f.node.now); d.room > 0 && grow > d.room-d.used() {
		p, err = p[:max(0, len(p)-grow+d.room-d.used())], d.full
	}
	if grow := int(off) + len(p) - len(f.node.now); grow > 0 {
		f.node.now = append(f.node.now, make([]byte, grow)...)
	}
	copy(f.node.now[off:], p)
	return len(p), err
}

func (f *simFile) ReadAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.name == f.disk.unreadable {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: syscall.EIO}
	}
	if off > int64(len(f.node.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *simFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.step("truncate"); err != nil {
		return err
	}
	f.node.now = slices.Clone(f.node.now[:size])
	return nil
}

func (f *simFile) Sync() error {
	if f.disk.beforeSync != nil {
		f.disk.beforeSync()
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.syncs++
	if err := f.disk.step("sync file"); err != nil {
		return err
	}
	f.node.synced = slices.Clone(f.node.now)
	return nil
}

func (f *simFile) Close() error { return nil }

func (f *simFile) length() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.node.now)), nil
}

// afterPowerCut is a disk as it may be found later: what was synced is there;
// of what was not, each name and each file may be old, new, or for files
// something between.
func (d *simDisk) afterPowerCut(rnd *rand.Rand) *simDisk {
	after := newSimDisk()
	names := maps.Clone(d.now)
	maps.Copy(names, d.synced)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		node := d.synced[name]
		if d.now[name] != node && rnd.IntN(2) == 0 {
			node = d.now[name]
		}
		if node != nil {
			after.now[name] = node.afterPowerCut(rnd)
		}
	}
	after.synced = maps.Clone(after.now)
	return after
}

// sector is small, so that what is torn is torn in the middle of records.
const sector = 64

func (n *simNode) afterPowerCut(rnd *rand.Rand) *simNode {
	left := slices.Clone(n.synced)
	switch rnd.IntN(5) {
	case 0: // all of it got there
		left = slices.Clone(n.now)
	case 1: // a part
		if more := len(n.now) - len(n.synced); more > 0 {
			left = slices.Clone(n.now[:len(n.synced)+rnd.IntN(more)])
		}
	case 2: // its length, but not its bytes
		if more := len(n.now) - len(n.synced); more > 0 {
			left = append(left, make([]byte, more)...)
		}
	case 3: // some sectors, in no order
		for from := 0; from < len(n.now); from += sector {
			if to := min(from+sector, len(n.now)); rnd.IntN(2) == 0 {
				if to > len(left) {
					left = append(left, make([]byte, to-len(left))...)
				}
				copy(left[from:to], n.now[from:to])
			}
		}
	}
	return &simNode{now: left, synced: slices.Clone(left)}
}
