package httpapi

import (
	"sync"
	"time"

	"github.com/sheafgrid/sheaf/internal/signatures"
)

// together is how many signatures are verified together: more would hardly take
// less time each, and where one of them is wrong, all have to be verified again,
// one by one.
const together = 16

// How long a request waits for others, to be verified together with them. It does
// only if as many as crowd were there the last time, no longer ago than busyGap:
// where fewer come, their signatures take less than the wait would.
const (
	waitForOthers = 3 * time.Millisecond
	busyGap       = 2 * time.Millisecond
	crowd         = together / 2
)

// verifier verifies the signatures of requests that come at about the same time
// together, which takes half the time. Whoever finds nobody at it verifies what
// waits, his own among it; what comes meanwhile is next.
type verifier struct {
	mu      sync.Mutex
	waiting []*question
	led     bool
	full    chan struct{} // together questions wait
	last    time.Time     // when the last round ended
	size    int           // how many it answered
}

// question is one request's signature.
type question struct {
	signed signatures.Signed
	valid  bool
	lead   bool          // nobody is at it any more: the asker is
	done   chan struct{} // it was answered, or leads
}

func newVerifier() *verifier { return &verifier{full: make(chan struct{}, 1)} }

// verify reports whether a signature is its key's.
func (v *verifier) verify(s signatures.Signed) bool {
	q := &question{signed: s, done: make(chan struct{}, 1)}
	if !v.join(q) {
		<-q.done
		if !q.lead {
			return q.valid
		}
	}
	v.gather()
	v.round()
	return q.valid
}

// join adds a question and reports whether its asker leads.
func (v *verifier) join(q *question) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting = append(v.waiting, q)
	if len(v.waiting) == together {
		select {
		case v.full <- struct{}{}:
		default:
		}
	}
	lead := !v.led
	v.led = true
	return lead
}

// gather waits for further questions, if they come in numbers.
func (v *verifier) gather() {
	v.mu.Lock()
	enough := len(v.waiting) >= together || v.size < crowd || time.Since(v.last) > busyGap
	select {
	case <-v.full: // of an earlier round
	default:
	}
	v.mu.Unlock()
	if enough {
		return
	}
	select {
	case <-v.full:
	case <-time.After(waitForOthers):
	}
}

// round answers what waits; the caller's own question is the first. Then it
// passes the lead to the first of those that came meanwhile.
func (v *verifier) round() {
	v.mu.Lock()
	n := min(len(v.waiting), together)
	group := v.waiting[:n:n]
	v.waiting = v.waiting[n:]
	v.mu.Unlock()
	answer(group)
	for _, q := range group[1:] {
		q.done <- struct{}{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last, v.size = time.Now(), n
	if len(v.waiting) == 0 {
		v.waiting, v.led = nil, false
		return
	}
	v.waiting[0].lead = true
	v.waiting[0].done <- struct{}{}
}

// answer verifies questions, together where it can be.
func answer(group []*question) {
	batch := make([]signatures.Signed, len(group))
	for i, q := range group {
		batch[i] = q.signed
	}
	all := signatures.VerifyAll(batch)
	for _, q := range group {
		q.valid = all || len(group) > 1 && q.signed.Verify()
	}
}
