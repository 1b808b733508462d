package dispatch

import (
	"sync"

	"github.com/sheafgrid/sheaf/task"
)

// sums remembers the checksums of tasks that were made: all that is needed of a
// task when its results come. Tasks are out for much longer than it takes to hand
// them out; remembering all of each was most of what the garbage collector had to
// go through. Here it finds no pointer.
type sums struct {
	shards [sumShards]struct {
		mu     sync.Mutex
		places [sumPlaces / sumShards]summed
	}
}

// summed is a task's checksum. The place of one that came earlier is taken.
type summed struct {
	stage task.StageID // 0: none was there yet
	i     uint64
	sum   task.Digest
}

const (
	sumShards = 1 << 6
	sumPlaces = 1 << 15
)

func (s *sums) get(a *assigned) (task.Digest, bool) {
	n := a.spread()
	shard := &s.shards[n%sumShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	at := &shard.places[n/sumShards%(sumPlaces/sumShards)]
	return at.sum, at.stage == a.stage && at.i == a.i
}

func (s *sums) put(a *assigned, sum task.Digest) {
	n := a.spread()
	shard := &s.shards[n%sumShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.places[n/sumShards%(sumPlaces/sumShards)] = summed{a.stage, a.i, sum}
}
