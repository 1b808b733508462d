package peers

import (
	"sync"
	"time"
)

// complainEvery is how often the log is told that somebody was turned away: who
// means harm could fill it.
const complainEvery = 10 * time.Second

// complaints says when to tell of somebody again.
type complaints struct {
	mu   sync.Mutex
	last time.Time
}

func (c *complaints) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last) < complainEvery {
		return false
	}
	c.last = time.Now()
	return true
}
