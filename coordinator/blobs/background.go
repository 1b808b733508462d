package blobs

import "sync"

// background is what goes on after its caller has its answer. Unlike a
// sync.WaitGroup it lets work begin while somebody waits: requests still come
// while a node is being closed.
type background struct {
	mu      sync.Mutex
	running int
	idle    *sync.Cond // made when somebody waits
}

// Go runs a function on a goroutine.
func (b *background) Go(fn func()) {
	b.mu.Lock()
	b.running++
	b.mu.Unlock()
	go func() {
		defer b.ended()
		fn()
	}()
}

func (b *background) ended() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running--; b.running == 0 && b.idle != nil {
		b.idle.Broadcast()
	}
}

// Wait returns once nothing runs.
func (b *background) Wait() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.idle == nil {
		b.idle = sync.NewCond(&b.mu)
	}
	for b.running > 0 {
		b.idle.Wait()
	}
}
