package httpapi

import (
	"sync"

	"github.com/sheafgrid/sheaf/internal/signatures"
)

// maxTogether bounds the signatures that are verified together: where one of
// them is wrong, all have to be verified again, one by one.
const maxTogether = 32

// verifier verifies the signatures of requests that come at the same time
// together, which takes half the time. Whoever finds nobody at it verifies what
// waits, his own first; what comes meanwhile is next.
type verifier struct {
	mu      sync.Mutex
	waiting []*question
	busy    bool
}

// question is one request's signature.
type question struct {
	signed signatures.Signed
	valid  bool
	lead   bool          // nobody is at it any more: the asker is
	done   chan struct{} // it was answered, or leads
}

// verify reports whether a signature is its key's.
func (v *verifier) verify(s signatures.Signed) bool {
	q := &question{signed: s, done: make(chan struct{}, 1)}
	v.mu.Lock()
	v.waiting = append(v.waiting, q)
	lead := !v.busy
	v.busy = true
	v.mu.Unlock()
	if !lead {
		<-q.done
		if !q.lead {
			return q.valid
		}
	}
	v.round()
	return q.valid
}

// round answers what waits; the caller's own question is the first. Then it
// passes the lead to the first of those that came meanwhile.
func (v *verifier) round() {
	v.mu.Lock()
	n := min(len(v.waiting), maxTogether)
	group := v.waiting[:n:n]
	v.waiting = v.waiting[n:]
	v.mu.Unlock()
	answer(group)
	for _, q := range group[1:] {
		q.done <- struct{}{}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.waiting) == 0 {
		v.waiting, v.busy = nil, false
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
