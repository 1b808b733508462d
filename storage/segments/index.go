package segments

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/sheafgrid/sheaf/task"
)

// index knows where the blobs are: for each group, by 64 bits of a hash of
// their digests. Two digests may have the same 64 bits: whoever looks one up
// reads the digest that stands at the place. The hash is keyed by a secret of
// the process, so that nobody can make digests that gather in one spot.
type index struct {
	seed   maphash.Seed
	groups map[uint64]*shelf
	count  int64
	spare  [][]entry // tables of groups that went, all free: the next groups are as large
}

// Spare tables are at most so many, and so large, in entries of 16 bytes.
const (
	maxSpare      = 64
	maxSpareTable = 4 << 10
)

// shelf is the part of the index that is about one group. Blobs that stand
// alone, in group 0, may be very many: their shelf is 256 tables, so that one
// which grows takes little time and little room.
type shelf struct {
	tables []table
	shares map[uint32]share // by segment: what of it is the group's
}

// share is a part of a segment.
type share struct{ blobs, bytes int64 }

func newIndex() *index { return &index{seed: maphash.MakeSeed(), groups: map[uint64]*shelf{}} }

// name is what a blob is called here.
type name struct {
	group  uint64
	digest task.Digest
}

func (h *recordHeader) name() name { return name{h.group, h.digest} }

// key is the hash of a name. The group is in it: else whoever can choose
// digests could see in one group what gathers in another.
func (x *index) key(n name) uint64 {
	var b [len(n.digest) + 8]byte
	binary.LittleEndian.PutUint64(b[copy(b[:], n.digest[:]):], n.group)
	return maphash.Bytes(x.seed, b[:])
}

func (s *shelf) table(key uint64) *table {
	if len(s.tables) == 1 {
		return &s.tables[0]
	}
	return &s.tables[key>>56]
}

// find appends the places that are known of a group under a key.
func (x *index) find(places []location, group, key uint64) []location {
	s := x.groups[group]
	if s == nil {
		return places
	}
	t := s.table(key)
	if t.used == 0 {
		return places
	}
	for i := t.home(key); !t.entries[i].isFree(); i = t.after(i) {
		if t.entries[i].key == key {
			places = append(places, t.entries[i].at)
		}
	}
	return places
}

// has reports whether a place is known of a group under a key.
func (x *index) has(group, key uint64, at location) bool {
	s := x.groups[group]
	if s == nil {
		return false
	}
	_, ok := s.table(key).slot(key, at)
	return ok
}

// insert notes the place of a record of size bytes.
func (x *index) insert(group, key uint64, at location, size int64) {
	s := x.groups[group]
	if s == nil {
		s = &shelf{tables: make([]table, 1), shares: map[uint32]share{}}
		if group == 0 {
			s.tables = make([]table, 256)
		} else if n := len(x.spare); n > 0 {
			s.tables[0].entries, x.spare = x.spare[n-1], x.spare[:n-1]
		}
		x.groups[group] = s
	}
	s.table(key).insert(entry{key, at})
	s.count(at.segment, 1, size)
	x.count++
}

// replace changes a place that is known to another. Sizes are those of the two
// records; one that damage hides is 0.
func (x *index) replace(group, key uint64, old location, oldSize int64, at location, size int64) {
	s := x.groups[group]
	if s == nil {
		return
	}
	t := s.table(key)
	if i, ok := t.slot(key, old); ok {
		t.entries[i].at = at
		s.count(old.segment, -1, -oldSize)
		s.count(at.segment, 1, size)
	}
}

// remove forgets a place, and reports whether it was known.
func (x *index) remove(group, key uint64, at location, size int64) bool {
	s := x.groups[group]
	if s == nil {
		return false
	}
	t := s.table(key)
	i, ok := t.slot(key, at)
	if ok {
		t.remove(i)
		s.count(at.segment, -1, -size)
		x.count--
		if len(s.shares) == 0 {
			delete(x.groups, group)
		}
	}
	return ok
}

// drop forgets a group, and returns what it had in each segment.
func (x *index) drop(group uint64) map[uint32]share {
	s := x.groups[group]
	if s == nil {
		return nil
	}
	delete(x.groups, group)
	for _, c := range s.shares {
		x.count -= c.blobs
	}
	if entries := s.tables[0].entries; group != 0 && len(x.spare) < maxSpare && len(entries) <= maxSpareTable {
		clear(entries)
		x.spare = append(x.spare, entries)
	}
	return s.shares
}

// count keeps the books of what a group has in a segment.
func (s *shelf) count(segment uint32, blobs, bytes int64) {
	c := s.shares[segment]
	c.blobs += blobs
	c.bytes += bytes
	if c.blobs == 0 {
		delete(s.shares, segment)
		return
	}
	s.shares[segment] = c
}

// appendPlaces appends those of all blobs of a group, in no order: segment and offset,
// as one number.
func (x *index) appendPlaces(all []uint64, group uint64) []uint64 {
	s := x.groups[group]
	if s == nil {
		return all
	}
	for i := range s.tables {
		all = slices.Grow(all, s.tables[i].used)
		for _, e := range s.tables[i].entries {
			if !e.isFree() {
				all = append(all, uint64(e.at.segment)<<32|uint64(e.at.offset))
			}
		}
	}
	return all
}
