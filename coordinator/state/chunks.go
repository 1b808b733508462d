package state

import (
	"math/bits"

	"github.com/sheafgrid/sheaf/task"
)

// chunkWords is how many words hold one bit for each task of a chunk.
const chunkWords = ChunkTasks / 64

// chunkIndex finds the tasks of one chunk by what is to be done with them. It
// goes when the chunk is sealed.
type chunkIndex struct {
	waiting  marks       // tasks that want an attempt
	ripe     marks       // tasks to be judged
	soonest  task.Millis // a time before which none of its open attempts expires
	attempts int         // that are out
}

// marks is a set of the tasks of a chunk.
type marks struct {
	words [chunkWords]uint64
	count int
}

func (m *marks) set(i uint64, in bool) {
	w, bit := &m.words[i/64], uint64(1)<<(i%64)
	switch was := *w&bit != 0; {
	case in && !was:
		*w |= bit
		m.count++
	case !in && was:
		*w &^= bit
		m.count--
	}
}

// next is the smallest member not below from.
func (m *marks) next(from uint64) (i uint64, ok bool) {
	if m.count == 0 || from >= ChunkTasks {
		return 0, false
	}
	rest := m.words[from/64] >> (from % 64) << (from % 64)
	for w := from / 64; ; rest = m.words[w] {
		if rest != 0 {
			return w*64 + uint64(bits.TrailingZeros64(rest)), true
		}
		if w++; w == chunkWords {
			return 0, false
		}
	}
}

// stageIndex finds a stage's tasks and chunks by what is to be done with them.
type stageIndex struct {
	chunks   []*chunkIndex // those from number first on that have tasks; nil: sealed
	first    uint64
	waiting  bitmap // chunks with a task that wants an attempt
	ripe     bitmap // chunks with a task to be judged
	ready    bitmap // chunks to be released: every task has its verdict
	lagging  bitmap // chunks that may be released without some tasks
	sealable bitmap // chunks of whose records some may go
	wanting  uint64 // tasks that want an attempt
	open     int    // attempts that are out
	// Of chunks that have late tasks: the tasks beside those, while the chunk is
	// not released in full, and while it is not sealed in full.
	early, earlySealed uint64
}

// chunk is the index of a chunk, made when it is first asked for.
func (x *stageIndex) chunk(c uint64) *chunkIndex {
	for x.first+uint64(len(x.chunks)) <= c {
		x.chunks = append(x.chunks, &chunkIndex{soonest: never})
	}
	return x.chunks[c-x.first]
}

// at is the index of a chunk, or nil where there is none.
func (x *stageIndex) at(c uint64) *chunkIndex {
	if c < x.first || c-x.first >= uint64(len(x.chunks)) {
		return nil
	}
	return x.chunks[c-x.first]
}

// trim lets go of sealed chunks at the beginning.
func (x *stageIndex) trim() {
	for len(x.chunks) > 0 && x.chunks[0] == nil {
		x.chunks = x.chunks[1:]
		x.first++
	}
}

// sealed forgets a chunk.
func (x *stageIndex) sealed(c uint64) {
	k := x.chunk(c)
	x.wanting -= uint64(k.waiting.count)
	for _, m := range []*bitmap{&x.waiting, &x.ripe, &x.ready, &x.lagging, &x.sealable} {
		m.set(c, false)
	}
	x.chunks[c-x.first] = nil
	x.trim()
}

// note files a task under what is to be done with it.
func (x *stageIndex) note(i uint64, t *Task) {
	c := i / ChunkTasks
	k := x.chunk(c)
	x.wanting -= uint64(k.waiting.count)
	k.waiting.set(i%ChunkTasks, t.State == TaskLive && t.Want > 0)
	k.ripe.set(i%ChunkTasks, t.State == TaskLive && t.Ripe)
	x.wanting += uint64(k.waiting.count)
	x.waiting.set(c, k.waiting.count > 0)
	x.ripe.set(c, k.ripe.count > 0)
}

// nextWaiting is the first task, from a number on, that wants an attempt.
func (x *stageIndex) nextWaiting(from uint64) (uint64, bool) {
	return x.next(&x.waiting, func(k *chunkIndex) *marks { return &k.waiting }, from)
}

// nextRipe is the first task, from a number on, that is to be judged.
func (x *stageIndex) nextRipe(from uint64) (uint64, bool) {
	return x.next(&x.ripe, func(k *chunkIndex) *marks { return &k.ripe }, from)
}

func (x *stageIndex) next(chunks *bitmap, of func(*chunkIndex) *marks, from uint64) (uint64, bool) {
	for c, ok := chunks.next(from / ChunkTasks); ok; c, ok = chunks.next(c + 1) {
		if i, ok := of(x.chunk(c)).next(max(from, c*ChunkTasks) - c*ChunkTasks); ok {
			return c*ChunkTasks + i, true
		}
	}
	return 0, false
}
