package plan

import (
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// How much work is held. Each core has two shares of it: one that it works on
// and one in reserve, so that it need not stand still while a call, or several,
// take their time. A task fills a share as far as its expected time goes, and
// a long one fills it, as does one of a program that was never measured: so
// there are two tasks a core at least, and many where they are known to be
// short.
const (
	longestShare = 2 * time.Second
	deadlinePart = 8 // a share is at most this part of a task's deadline, so that none is late for having waited
)

// maxUnsent is how many results beyond two a core may wait to be uploaded
// before no further work is asked for: a slow line must not fill the disk.
const maxUnsent = 8

// buffer is what is held when the actions of a decision are done.
type buffer struct {
	share    time.Duration
	typical  time.Duration // expected time of a task like those that are held, at most a share
	held     time.Duration // of what is not computed, no task counting for more than a share
	reserve  time.Duration // of what has not begun
	tasks    int           // not computed
	measured int           // of programs that were measured, computed ones included
	unsent   int           // computed, with outputs to be uploaded
	open     int           // still out when all that can be reported is
}

// weigh finds out what is held.
func (p *planner) weigh() {
	b := &p.buffer
	b.share = longestShare
	for i := range p.queue.Attempts {
		if term := p.queue.Attempts[i].Term; term > 0 {
			b.share = min(b.share, term/deadlinePart)
		}
	}
	b.share = max(b.share, time.Millisecond)
	b.typical = b.share
	total, n := time.Duration(0), time.Duration(0)
	for i := range p.queue.Attempts {
		if kind, gone := p.gone[i]; gone && kind != Stop {
			continue
		}
		a := &p.queue.Attempts[i]
		took, known := p.queue.Paces.expect(a.Program)
		if known {
			b.measured++
		}
		if !known || took > b.share {
			took = b.share
		}
		total += took
		n++
		b.add(a, took, p.starting[i])
	}
	if n > 0 {
		b.typical = max(total/n, time.Microsecond)
	}
}

func (b *buffer) add(a *Attempt, took time.Duration, starting bool) {
	if a.Stage != StageReportable {
		b.open++
	}
	switch {
	case a.Stage == StageFinished, a.Stage == StageUploading:
		b.unsent++
	case a.computed():
	default:
		b.tasks++
		b.held += took
		if a.Stage < StageRunning && !starting {
			b.reserve += took
		}
	}
}

// want is how many further attempts to ask for. Where nothing was measured that
// is two a core; otherwise it at most doubles what is held of measured
// programs.
func (p *planner) want() int {
	b := &p.buffer
	if p.idle.Code != "" || p.rules.Finishing || p.cores == 0 || b.unsent >= 2*p.cores+maxUnsent {
		return 0
	}
	room := time.Duration(2*p.cores)*b.share - b.held
	if room <= 0 {
		return 0
	}
	n := int((room + b.typical - 1) / b.typical)
	n = min(n, max(2*p.cores-b.tasks, 2*b.measured))
	return max(min(n, protocol.MayHold(p.cores)-b.open, protocol.MaxWanted, protocol.MaxHeld-len(p.queue.Attempts)), 0)
}

// low reports that the cores may soon have nothing to do, so that a call must
// not wait. Where they have nothing to do anyway, it need not.
// Enough is half a share a core, or half of what may be held of short tasks.
func (p *planner) low() bool {
	if p.idle.Code != "" || p.cores == 0 {
		return true
	}
	b := &p.buffer
	return b.reserve < min(time.Duration(p.cores)*b.share, time.Duration(protocol.MayHold(p.cores))*b.typical)/2
}

// reportBy is when a report must be on its way: when it has waited for long, or
// when its deadline comes near.
func (p *planner) reportBy(a *Attempt) time.Time {
	patience := p.buffer.share / 2
	by := a.Since.Add(patience)
	if !a.Deadline.IsZero() && by.After(a.Deadline.Add(-patience)) {
		by = a.Deadline.Add(-patience)
	}
	return by
}
