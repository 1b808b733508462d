package collect

import (
	"encoding/binary"

	"github.com/sheafgrid/sheaf/task"
)

// maxAges bounds what is remembered of things that nobody refers to, at about
// 40 bytes each. What is beyond waits until others are gone.
const maxAges = 1 << 20

// ages remembers since when things were seen that nobody refers to: the age that
// the server gives them is by a clock which is none of the cluster's. One that
// a whole round does not see is forgotten.
type ages struct {
	at, next map[uint64]task.Millis
}

// begin begins a round.
func (a *ages) begin() { a.next = map[uint64]task.Millis{} }

// seen notes that a round sees a thing, and tells when the first one of those
// that saw it did.
func (a *ages) seen(key uint64, now task.Millis) task.Millis {
	first, ok := a.at[key]
	if !ok {
		first = now
	}
	if len(a.next) < maxAges {
		a.next[key] = first
	}
	return first
}

// end ends a round. One that did not see everything forgets nothing.
func (a *ages) end(whole bool) {
	if !whole {
		for key, first := range a.at {
			if _, ok := a.next[key]; !ok && len(a.next) < maxAges {
				a.next[key] = first
			}
		}
	}
	a.at, a.next = a.next, nil
}

// ageOf is the key of a blob of an area, or of anything that has a name.
func ageOf(area string, name string) uint64 {
	d := task.Sum([]byte(area + "\x00" + name))
	return binary.BigEndian.Uint64(d[:])
}
