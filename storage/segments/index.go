package segments

import (
	"hash/maphash"
	"math/bits"

	"github.com/sheafgrid/sheaf/task"
)

// index knows where the blobs are, by 64 bits of a hash of their digests. Two
// digests may have the same 64 bits: whoever looks one up reads the digest
// that stands at the place. The hash is keyed by a secret of the process, so
// that nobody can make digests that gather in one spot.
//
// It is 256 tables, so that one which grows takes little time and little room.
type index struct {
	seed   maphash.Seed
	tables [256]table
	count  int64
}

// entry is a blob's place. It has no pointer: the garbage collector passes over
// the tables.
type entry struct {
	key uint64
	at  location
}

func (e entry) isFree() bool { return e.at.segment == 0 }

func newIndex() *index { return &index{seed: maphash.MakeSeed()} }

func (x *index) key(d task.Digest) uint64 { return maphash.Bytes(x.seed, d[:]) }

func (x *index) table(key uint64) *table { return &x.tables[key>>56] }

// find appends the places that are known under a key.
func (x *index) find(places []location, key uint64) []location {
	t := x.table(key)
	for i := t.home(key); t.used > 0 && !t.entries[i].isFree(); i = t.after(i) {
		if t.entries[i].key == key {
			places = append(places, t.entries[i].at)
		}
	}
	return places
}

// has reports whether a place is known under a key.
func (x *index) has(key uint64, at location) bool {
	_, ok := x.table(key).slot(key, at)
	return ok
}

func (x *index) insert(key uint64, at location) {
	x.table(key).insert(entry{key, at})
	x.count++
}

// replace changes a place that is known to another.
func (x *index) replace(key uint64, old, at location) {
	t := x.table(key)
	if i, ok := t.slot(key, old); ok {
		t.entries[i].at = at
	}
}

// remove forgets a place, and reports whether it was known.
func (x *index) remove(key uint64, at location) bool {
	t := x.table(key)
	i, ok := t.slot(key, at)
	if ok {
		t.remove(i)
		x.count--
	}
	return ok
}

// table is a hash table with open addressing: an entry stands at its home or,
// where that is taken, at the next free one, without a gap in between.
type table struct {
	entries []entry
	used    int
}

const minTable = 16

// home is where a key belongs. The bits that chose the table are left out.
func (t *table) home(key uint64) int {
	hi, _ := bits.Mul64(key<<8, uint64(len(t.entries)))
	return int(hi)
}

func (t *table) after(i int) int {
	if i++; i == len(t.entries) {
		return 0
	}
	return i
}

func (t *table) slot(key uint64, at location) (int, bool) {
	if t.used == 0 {
		return 0, false
	}
	for i := t.home(key); !t.entries[i].isFree(); i = t.after(i) {
		if e := t.entries[i]; e.key == key && e.at == at {
			return i, true
		}
	}
	return 0, false
}

// insert keeps a fifth of the table free.
func (t *table) insert(e entry) {
	if (t.used+1)*5 > len(t.entries)*4 {
		t.resize(max(minTable, len(t.entries)*3/2))
	}
	t.put(e)
}

func (t *table) put(e entry) {
	i := t.home(e.key)
	for !t.entries[i].isFree() {
		i = t.after(i)
	}
	t.entries[i] = e
	t.used++
}

// remove frees a slot and moves up what stands behind it and may.
func (t *table) remove(free int) {
	n := len(t.entries)
	for i := t.after(free); !t.entries[i].isFree(); i = t.after(i) {
		home := t.home(t.entries[i].key)
		if (i-home+n)%n >= (i-free+n)%n { // free lies between its home and where it is
			t.entries[free] = t.entries[i]
			free = i
		}
	}
	t.entries[free] = entry{}
	t.used--
	if n > minTable && t.used*4 < n {
		t.resize(max(minTable, t.used*2))
	}
}

func (t *table) resize(n int) {
	old := t.entries
	t.entries, t.used = make([]entry, n), 0
	for _, e := range old {
		if !e.isFree() {
			t.put(e)
		}
	}
}
