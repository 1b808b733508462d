package blobs

import (
	"encoding/binary"

	"github.com/sheafgrid/sheaf/storage"
)

// recent remembers blobs that were stored on a majority a moment ago. Hosts that
// are given the same task return the same bytes, often at the same time: half of
// what comes is there already.
//
// It remembers blobs that belong to a group only, which nobody deletes before
// they are packed.
type recent struct {
	now, before map[recentName]struct{} // before is forgotten when now is full
}

// recentName is 128 bits of a digest, with the group: nobody can find another
// blob with the same.
type recentName struct{ high, low uint64 }

func nameOf(b *storage.Small) recentName {
	return recentName{
		high: binary.LittleEndian.Uint64(b.Digest[:]) ^ b.Group*0x9e3779b97f4a7c15,
		low:  binary.LittleEndian.Uint64(b.Digest[8:]),
	}
}

// maxRecent is how many blobs each of the two maps has.
const maxRecent = 16 << 10

// without returns the blobs of a batch that have to be stored, each once. What
// would take no time if nothing were left is stored again: a host must not see
// by the clock that another one has returned the same (T3).
func (r *recent) without(blobs []storage.Small) []storage.Small {
	seen := make(map[recentName]struct{}, len(blobs))
	kept := blobs[:0:0]
	for i := range blobs {
		n := nameOf(&blobs[i])
		if blobs[i].Group != 0 {
			if _, twice := seen[n]; twice || r.has(n) {
				continue
			}
			seen[n] = struct{}{}
		}
		kept = append(kept, blobs[i])
	}
	if len(kept) == 0 {
		return blobs
	}
	return kept
}

func (r *recent) has(n recentName) bool {
	if _, ok := r.now[n]; ok {
		return true
	}
	_, ok := r.before[n]
	return ok
}

// add remembers blobs that were stored.
func (r *recent) add(blobs []storage.Small) {
	if len(r.now)+len(blobs) > maxRecent || r.now == nil {
		r.now, r.before = make(map[recentName]struct{}, maxRecent), r.now
	}
	for i := range blobs {
		if blobs[i].Group != 0 {
			r.now[nameOf(&blobs[i])] = struct{}{}
		}
	}
}
