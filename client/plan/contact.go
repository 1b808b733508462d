package plan

import (
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// How much work is kept in reserve. A call takes its time, and while it does
// the cores should not stand still: there is one spare task a core, and more
// where tasks are short.
const (
	ahead    = 500 * time.Millisecond // what a reserve should last for
	maxSpare = 8                      // spare tasks a core
)

// want is how many further attempts to ask for.
func (p *planner) want() int {
	if p.idle.Code != "" || p.rules.Finishing || p.cores == 0 {
		return 0
	}
	spare := 1
	if p.queue.Pace > 0 {
		spare = int(min(max((ahead+p.queue.Pace-1)/p.queue.Pace, 1), maxSpare))
	}
	unfinished := 0
	for i := range p.queue.Attempts {
		if _, gone := p.gone[i]; !gone && !p.queue.Attempts[i].computed() {
			unfinished++
		}
	}
	return min(p.cores*(1+spare)-unfinished, protocol.MaxWanted, protocol.MaxHeld-len(p.queue.Attempts))
}

// contact calls a coordinator when there is something to say, and when one
// asked to be called.
func (p *planner) contact() {
	c := &p.queue.Contact
	if c.Busy || p.nothingLeft() {
		return
	}
	reports, want := p.count(StageReportable)+p.givenBack(), p.want()
	at, why := c.NotAfter, because(CodeDue, "A coordinator asked to be called by now.")
	switch {
	case c.NotAfter.IsZero():
		at, why = p.now, because(CodeDue, "It is the first call.")
	case reports > 0:
		at, why = p.now, because(CodeReporting, "Results to report: %d.", reports)
	case want > 0 && !c.Unmet:
		at, why = p.now, because(CodeWanted, "Room for further tasks: %d.", want)
	}
	if at.Before(c.NotBefore) {
		at = c.NotBefore
	}
	if at.After(p.now) {
		p.wake(at)
		return
	}
	p.out.Actions = append(p.out.Actions, Action{Kind: Exchange, Want: max(want, 0), Reason: why})
}

// givenBack is how many reports this decision's actions make at once. What
// takes a moment to stop is reported then.
func (p *planner) givenBack() int {
	n := 0
	for i, kind := range p.gone {
		if kind == GiveBack && !p.queue.Attempts[i].busy() {
			n++
		}
	}
	return n
}

// nothingLeft reports that the owner wanted it to finish and that nothing is
// held any more.
func (p *planner) nothingLeft() bool { return p.rules.Finishing && len(p.queue.Attempts) == 0 }

// done reports that it may end: no answer is outstanding that could hand out
// further attempts.
func (p *planner) done() bool { return p.nothingLeft() && !p.queue.Contact.Busy }

// overall says what the machine does, or why it does nothing.
func (p *planner) overall() Reason {
	running := 0
	for _, r := range p.why {
		if r.Code == CodeComputing {
			running++
		}
	}
	c := &p.queue.Contact
	switch {
	case running > 0 && p.idle.Code == CodeTrouble:
		return p.idle
	case running == 1:
		return because(CodeComputing, "It computes a task.")
	case running > 1:
		return because(CodeComputing, "It computes %d tasks.", running)
	case p.idle.Code != "":
		return p.idle
	case c.Trouble != "":
		return because(CodeNoContact, "%s", c.Trouble)
	case p.count(StageAccepted, StageFetching, StageReady) > 0:
		return because(CodePreparing, "It prepares the next task.")
	case p.rules.Finishing:
		return because(CodeFinishing, "It finishes: what is computed is being delivered, nothing further is asked for.")
	case c.Busy || c.NotAfter.IsZero():
		return because(CodeCalling, "It asks a coordinator for work.")
	case c.Reason != "":
		return because(CodeNoWork, "%s", c.Reason.Sentence())
	case c.Unmet:
		return because(CodeNoWork, "The coordinator gave no work and did not say why.")
	}
	return because(CodeWanted, "It will ask for work in a moment.")
}
