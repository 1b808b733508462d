package client

import (
	"time"

	"github.com/sheafgrid/sheaf/client/plan"
)

// trouble is what makes tasks fail on this machine. It is left alone for a
// while, longer each time that it comes back.
type trouble struct {
	failures int // tasks in a row that brought no result
	refused  int // results in a row that were refused
	times    int // in trouble, in a row
	text     string
	until    time.Time
}

// How many failures in a row are no accident, and how long to rest.
const (
	tooMany     = 4
	firstRest   = time.Minute
	longestRest = time.Hour
)

// failed and wasRefused count one more, and report whether it is one too many.
func (t *trouble) failed() bool     { t.failures++; return t.failures >= tooMany }
func (t *trouble) wasRefused() bool { t.refused++; return t.refused >= tooMany }

// computed ends a row of failures, and accepted one of refusals: what made
// tasks fail is over when a result of this machine is accepted.
func (t *trouble) computed() { t.failures = 0 }
func (t *trouble) accepted() { t.refused, t.times = 0, 0 }

// inTrouble lets the machine rest.
func (r *run) inTrouble(err error) {
	t := &r.trouble
	now := time.Now()
	if now.Before(t.until) {
		return // another part of the same
	}
	t.until = now.Add(min(firstRest<<min(t.times, 10), longestRest))
	t.times++
	t.failures, t.refused = 0, 0
	t.text = capital(err.Error()) + "."
	r.tell(EventTrouble, nil, t.text)
}

// machine is what is known of the machine now.
func (r *run) machine(now time.Time) plan.Machine {
	m := r.cfg.Sense()
	if r.trouble.until.After(now) {
		m.Trouble, m.TroubleUntil = r.trouble.text, r.trouble.until
	}
	return m
}

func capital(s string) string {
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}
