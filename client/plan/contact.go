package plan

import (
	"time"
)

// contact calls a coordinator when there is something to say, and when one
// asked to be called. What a call would bring waits a little while the cores
// have enough to do, so that one call carries much.
func (p *planner) contact() {
	c := &p.queue.Contact
	if c.Busy || p.nothingLeft() {
		return
	}
	p.weigh()
	reports, by := p.reports()
	want, low := p.want(), p.low()
	at, why := c.NotAfter, because(CodeDue, "A coordinator asked to be called by now.")
	earlier := func(t time.Time, reason Reason) {
		if !t.After(p.now) {
			t = p.now
		}
		if t.Before(at) {
			at, why = t, reason
		}
	}
	if c.NotAfter.IsZero() {
		at, why = p.now, because(CodeDue, "It is the first call.")
	}
	if reports > 0 {
		if low {
			by = p.now
		}
		earlier(by, because(CodeReporting, "Results to report: %d.", reports))
	}
	if want > 0 && low && !c.Unmet {
		earlier(p.now, because(CodeWanted, "Room for further tasks: %d.", want))
	}
	if at.Before(c.NotBefore) {
		at = c.NotBefore
	}
	if at.After(p.now) {
		p.wake(at)
		return
	}
	p.out.Actions = append(p.out.Actions, Action{Kind: Exchange, Want: want, Reason: why})
}

// reports is how many reports a call could carry, and when the first of them
// must be on its way.
func (p *planner) reports() (n int, by time.Time) {
	if n = p.givenBack(); n > 0 {
		by = p.now // others wait for what this machine does not compute
	}
	p.each(StageReportable, func(_ int, a *Attempt) {
		if t := p.reportBy(a); n == 0 || t.Before(by) {
			by = t
		}
		n++
	})
	return n, by
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
