package httpapi

import (
	"container/list"
	"fmt"
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// fewStuck is how many exchanges may take longer than patience without a meaning: a
// peer that is slow for one group of outputs must not close the door to all.
const fewStuck = 32

// What a host that is sent away is told: to come back after a time drawn between
// half and three halves of the pause. The pause grows until those who come too early are
// a tenth of those who are let in, since sending somebody away takes time, too.
const (
	minPause = 500 * time.Millisecond
	maxPause = time.Minute
	window   = time.Second // how long all is counted before the pause changes
)

// shedder decides whether the leader takes an exchange. It takes all until those
// that it has taken wait longer than patience; then it sends new ones away at once,
// before their signatures are verified. So the wait stays about as long, and what is
// begun is worth its work: a host gives up much later.
type shedder struct {
	patience time.Duration
	now      func() time.Time
	random   func(n int64) int64 // below n

	mu     sync.Mutex
	inside list.List // when each exchange came that is not answered, the oldest first
	pause  time.Duration

	// Counted since began:
	began               time.Time
	taken, sent, served int // let in, sent away, answered
	fewest              int // inside at one time
	// Of the window before, if there were always more than a few inside; or 0.
	most int // as many as are served within patience
}

func newShedder(patience time.Duration, now func() time.Time, random func(int64) int64) *shedder {
	return &shedder{patience: patience, now: now, random: random, pause: minPause, began: now()}
}

// enter lets an exchange in, or returns what its host is told. The caller calls
// leave when it knows the answer; more calls do nothing. How long the host takes to
// read it says nothing about the coordinators.
func (s *shedder) enter() (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.adapt(now)
	if s.late(now) {
		s.sent++
		wait := s.pause/2 + time.Duration(s.random(int64(s.pause)))
		return nil, &protocol.Error{
			Code:        protocol.CodeOverloaded,
			Text:        fmt.Sprintf("the coordinators have more to do than they can; come back in %.1f s", wait.Seconds()),
			RetryMillis: uint32(wait.Milliseconds()),
		}
	}
	s.taken++
	e := s.inside.PushBack(now)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if e == nil {
			return
		}
		s.inside.Remove(e)
		e = nil
		s.served++
		s.fewest = min(s.fewest, s.inside.Len())
	}, nil
}

// late reports whether a new one would wait for too long: since so many are before
// it, or because those wait for something else.
func (s *shedder) late(now time.Time) bool {
	if s.inside.Len() <= fewStuck {
		return false
	}
	if s.most > 0 && s.inside.Len() >= s.most {
		return true
	}
	e := s.inside.Front()
	for range fewStuck {
		e = e.Next()
	}
	return now.Sub(e.Value.(time.Time)) > s.patience
}

// adapt ends a window: it changes the pause and what may be inside.
func (s *shedder) adapt(now time.Time) {
	took := now.Sub(s.began)
	if took < window {
		return
	}
	switch {
	case 10*s.sent > s.taken:
		s.pause = min(2*s.pause, maxPause)
	case 20*s.sent < s.taken:
		s.pause = max(s.pause/2, minPause)
	}
	s.most = 0
	if s.fewest > fewStuck {
		s.most = max(fewStuck, int(int64(s.served)*int64(s.patience)/int64(took)))
	}
	s.began, s.taken, s.sent, s.served, s.fewest = now, 0, 0, 0, s.inside.Len()
}
