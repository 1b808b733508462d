package segments

import "math/bits"

// entry is a blob's place. It has no pointer: the garbage collector passes over
// the tables.
type entry struct {
	key uint64
	at  location
}

func (e entry) isFree() bool { return e.at.segment == 0 }

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
