package dir

import (
	"sync"

	"github.com/sheafgrid/sheaf/task"
)

// cache expands chunks and keeps the last ones, so that reading a blob in
// small pieces, or by many at once, expands each chunk once. It bounds memory
// and work: who finds every slot in use waits, and a slot is in use for no
// longer than it takes to read one chunk.
type cache struct {
	mu    sync.Mutex
	idle  sync.Cond // a slot became idle
	slots []*slot
	clock uint64
}

// chunkKey names a chunk. The zero value names none.
type chunkKey struct {
	blob  task.Digest
	index int64
}

type slot struct {
	// Guarded by the cache's mutex.
	key   chunkKey // what the slot holds or is about to hold
	users int
	used  uint64 // when it was last asked for

	mu sync.Mutex // held while the slot is filled or read

	// Guarded by mu.
	unpacker
	chunk  []byte
	loaded chunkKey // whose bytes chunk has
}

func newCache(n int) *cache {
	c := &cache{slots: make([]*slot, n)}
	c.idle.L = &c.mu
	for i := range c.slots {
		c.slots[i] = &slot{}
	}
	return c
}

// read copies bytes of a chunk, from offset on, into p and says how many. load
// is called if the chunk is not here; whoever else wants it waits for that.
func (c *cache) read(key chunkKey, p []byte, offset int, load func(*unpacker) ([]byte, error)) (int, error) {
	s := c.take(key)
	defer c.give(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded != key {
		s.loaded = chunkKey{}
		chunk, err := load(&s.unpacker)
		if err != nil {
			return 0, err
		}
		s.chunk, s.loaded = chunk, key
	}
	return copy(p, s.chunk[offset:]), nil
}

// borrow lends an unpacker whose chunks are not kept.
func (c *cache) borrow(use func(*unpacker) error) error {
	s := c.take(chunkKey{})
	defer c.give(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = chunkKey{}
	return use(&s.unpacker)
}

// take returns the slot that has a chunk, or else the one that was idle for
// longest. The zero key is in no slot.
func (c *cache) take(key chunkKey) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var free *slot
		for _, s := range c.slots {
			if s.key == key && key != (chunkKey{}) {
				return c.mark(s, key)
			}
			if s.users == 0 && (free == nil || s.used < free.used) {
				free = s
			}
		}
		if free != nil {
			return c.mark(free, key)
		}
		c.idle.Wait()
	}
}

func (c *cache) mark(s *slot, key chunkKey) *slot {
	c.clock++
	s.key, s.used = key, c.clock
	s.users++
	return s
}

func (c *cache) give(s *slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.users--
	if s.users == 0 {
		c.idle.Signal()
	}
}
