package simdisk

import (
	"maps"
	"math/rand/v2"
	"path"
	"slices"
)

// AfterKill is the same disk for the next process: nothing is lost, and nothing
// more is synced. The power is back.
func (d *Disk) AfterKill() *Disk {
	d.set(func() { d.cutAt, d.failAt = 0, 0 })
	return d
}

// AfterPowerCut is a disk as it may be found later.
func (d *Disk) AfterPowerCut(rnd *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := cut{rnd: rnd, from: d, after: &Disk{dirs: map[string]*dir{}}, nodes: map[*node]*node{}}
	// A directory is found by its node: its name may have changed since the sync.
	c.at = map[*node]*dir{}
	for name, in := range d.dirs {
		if _, _, n, err := d.find("", name); err == nil && n != nil {
			c.at[n] = in
		}
	}
	c.keep(".", d.dirs["."])
	return c.after
}

// cut is a power cut being made.
type cut struct {
	rnd   *rand.Rand
	from  *Disk
	after *Disk
	nodes map[*node]*node
	at    map[*node]*dir
}

func (c *cut) keep(name string, in *dir) {
	left := map[string]*node{}
	names := maps.Clone(in.now)
	maps.Copy(names, in.synced)
	for _, base := range slices.Sorted(maps.Keys(names)) {
		n := in.synced[base]
		if in.now[base] != n && c.rnd.IntN(2) == 0 {
			n = in.now[base]
		}
		if n == nil || n.isDir && c.at[n] == nil { // or it was removed since
			continue
		}
		if c.nodes[n] == nil {
			c.nodes[n] = n.afterPowerCut(c.rnd)
		}
		left[base] = c.nodes[n]
		if n.isDir {
			c.keep(path.Join(name, base), c.at[n])
		}
	}
	c.after.dirs[name] = &dir{now: left, synced: maps.Clone(left)}
}

// sector is small, so that what is torn is torn in the middle of records.
const sector = 64

func (n *node) afterPowerCut(rnd *rand.Rand) *node {
	left := slices.Clone(n.synced)
	more := len(n.now) - len(n.synced)
	switch rnd.IntN(5) {
	case 0: // all of it got there
		left = slices.Clone(n.now)
	case 1: // a part
		if more > 0 {
			left = slices.Clone(n.now[:len(n.synced)+rnd.IntN(more)])
		}
	case 2: // its length, but not its bytes
		if more > 0 {
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
	return &node{isDir: n.isDir, now: left, synced: slices.Clone(left)}
}
