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
// they are packed. A blob has one place, which it shares with others; the one
// that came last is there.
type recent struct {
	places []recentName // nil before the first
}

// recentName is 128 bits of a digest, with the group: nobody can find another
// blob with the same.
type recentName struct{ high, low uint64 }

const recentPlaces = 32 << 10

func nameOf(b *storage.Small) recentName {
	return recentName{
		high: binary.LittleEndian.Uint64(b.Digest[:]) ^ b.Group*0x9e3779b97f4a7c15,
		low:  binary.LittleEndian.Uint64(b.Digest[8:]) ^ b.Group,
	}
}

// without appends to kept the blobs of some batches that have to be stored, each
// once, and remembers them: where they cannot be stored, forget must be called. What
// would take no time if nothing were left is stored again: a host must not see by
// the clock that another one has returned the same (T3).
func (r *recent) without(batches []*joined, kept []storage.Small) []storage.Small {
	if r.places == nil {
		r.places = make([]recentName, recentPlaces)
	}
	for _, j := range batches {
		for i := range j.blobs {
			if j.blobs[i].Group != 0 {
				n := nameOf(&j.blobs[i])
				place := &r.places[n.low%recentPlaces]
				if *place == n {
					continue
				}
				*place = n
			}
			kept = append(kept, j.blobs[i])
		}
	}
	if len(kept) == 0 {
		for _, j := range batches {
			kept = append(kept, j.blobs...)
		}
	}
	return kept
}

// forget forgets everything.
func (r *recent) forget() { clear(r.places) }
