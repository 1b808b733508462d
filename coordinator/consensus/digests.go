package consensus

import (
	"slices"
	"sync"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/task"
)

// DigestAt is the digest of the state after an entry.
type DigestAt struct {
	Index  uint64      `json:"index"`
	Digest task.Digest `json:"digest"`
}

// digestEvery is how much cluster time lies between two digests that are kept
// to be compared with other replicas'. Which entry is the first after a
// multiple of it is a function of the log, so all replicas take the same ones,
// and none has to be told.
const digestEvery task.Millis = 60 * 1000

// digestsKept is how many are kept: replicas are not at the same entry when
// they compare.
const digestsKept = 8

// digests are those of a replica's state at entries that all replicas choose.
type digests struct {
	mu   sync.Mutex
	kept []DigestAt // the newest at the end
	busy bool
	work sync.WaitGroup
}

// crossed reports whether a digest is due at the first entry of time now.
func crossed(before, now task.Millis) bool { return now/digestEvery > before/digestEvery }

// take computes the digest of a state in the background, while Apply goes on.
// While one is being computed others are left out: a replica that replays its
// log would have nothing else to do.
func (d *digests) take(index uint64, s *state.State) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy {
		return
	}
	d.busy = true
	frozen := s.Freeze()
	d.work.Go(func() {
		digest := frozen.Digest()
		frozen.Release()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.busy = false
		if len(d.kept) == digestsKept {
			d.kept = slices.Delete(d.kept, 0, 1)
		}
		d.kept = append(d.kept, DigestAt{index, digest})
	})
}

func (d *digests) list() []DigestAt {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.kept)
}

// Digests are the digests of the state at the last few entries at which every
// replica takes one (R3).
func (n *Node) Digests() []DigestAt { return n.fsm.taken.list() }
