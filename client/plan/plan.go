package plan

import (
	"slices"
	"time"
)

// Decide says what to do now. It changes none of its arguments.
func Decide(now time.Time, rules Rules, machine Machine, queue Queue) Decision {
	p := planner{
		now: now, rules: &rules, machine: &machine, queue: &queue,
		why: make([]Reason, len(queue.Attempts)),
	}
	p.cores, p.idle = rules.cores(&machine, now)
	if p.idle.Code == CodeTrouble {
		p.wake(machine.TroubleUntil)
	}
	p.inOrder()
	p.drop()
	p.stop()
	p.start()
	p.fetch()
	p.upload()
	p.contact()
	p.out.Attempts = p.why
	p.out.Reason = p.overall()
	p.out.Done = p.done()
	if p.out.Done {
		p.out.Reason = because(CodeFinished, "All that was accepted is computed and delivered.")
		p.out.Wake = time.Time{}
	}
	return p.out
}

// planner is one decision in the making. gone holds the attempts that an action
// of this decision takes away or stops; nothing else is decided about them.
type planner struct {
	now     time.Time
	rules   *Rules
	machine *Machine
	queue   *Queue

	cores int    // tasks that may run at once
	idle  Reason // why none may, where cores is 0

	order    []int // attempts by deadline
	why      []Reason
	gone     map[int]Kind
	starting map[int]bool // attempts that this decision starts
	buffer   buffer
	out      Decision
}

// inOrder sorts the attempts by deadline; where two are equal, by number.
func (p *planner) inOrder() {
	p.gone, p.starting = map[int]Kind{}, map[int]bool{}
	p.order = make([]int, len(p.queue.Attempts))
	for i := range p.order {
		p.order[i] = i
	}
	slices.SortFunc(p.order, func(i, k int) int {
		a, b := &p.queue.Attempts[i], &p.queue.Attempts[k]
		if c := a.Deadline.Compare(b.Deadline); c != 0 {
			return c
		}
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
}

// act adds an action on attempt i; its reason is the attempt's too.
func (p *planner) act(kind Kind, i int, why Reason) {
	p.out.Actions = append(p.out.Actions, Action{Kind: kind, Attempt: p.queue.Attempts[i].ID, Reason: why})
	p.why[i] = why
	if kind == Stop || kind == Forget || kind == GiveBack {
		p.gone[i] = kind
	}
}

// wake asks to be asked again by t, where t lies ahead.
func (p *planner) wake(t time.Time) {
	if t.After(p.now) && (p.out.Wake.IsZero() || t.Before(p.out.Wake)) {
		p.out.Wake = t
	}
}

// each visits the attempts of a stage that are still to be decided on, earliest
// deadline first.
func (p *planner) each(stage Stage, visit func(i int, a *Attempt)) {
	for _, i := range p.order {
		if _, gone := p.gone[i]; !gone && p.queue.Attempts[i].Stage == stage {
			visit(i, &p.queue.Attempts[i])
		}
	}
}

// count is how many attempts are at one of the stages. Those that are being
// stopped are among them: they hold what they hold until they have stopped.
func (p *planner) count(stages ...Stage) int {
	n := 0
	for i := range p.queue.Attempts {
		a := &p.queue.Attempts[i]
		_, gone := p.gone[i]
		if slices.Contains(stages, a.Stage) && (!gone || a.busy()) {
			n++
		}
	}
	return n
}

// drop takes away what must not, or need not, be computed or uploaded.
func (p *planner) drop() {
	for _, i := range p.order {
		a := &p.queue.Attempts[i]
		if a.Stopping {
			continue // what is to become of it is decided when it has stopped
		}
		if a.computed() {
			if a.Cancelled && a.Stage <= StageUploading {
				p.act(Forget, i, because(CodeCancelled, "Nobody waits for its result any more."))
			}
			continue
		}
		refusal, refused := p.rules.refuses(a)
		switch {
		case a.Cancelled:
			p.act(Forget, i, because(CodeCancelled, "Nobody waits for it any more."))
		case refused:
			p.act(GiveBack, i, refusal)
		case a.Stage == StageRunning:
			// It goes on beyond its deadline: its result may still count, and
			// a coordinator says when it does not.
		case !p.now.Before(a.Deadline):
			p.act(Forget, i, because(CodeExpired, "Its deadline passed before it began, so somebody else computes it."))
		default:
			p.wake(a.Deadline)
		}
	}
}

// stop ends what runs, or is fetched, although it must not now. Those that end
// last have the latest deadlines.
func (p *planner) stop() {
	allowed := p.cores
	p.each(StageRunning, func(i int, a *Attempt) {
		switch {
		case a.Stopping:
			p.why[i] = because(CodeStopping, "It is being stopped.")
		case allowed > 0:
			p.why[i] = because(CodeComputing, "It is being computed.")
		case p.cores == 0:
			p.act(Stop, i, p.idle)
		default:
			p.act(Stop, i, because(CodeTooMany, "More tasks run than the %d that may; it goes on when one of them is done.", p.cores))
		}
		allowed--
	})
	p.each(StageFetching, func(i int, a *Attempt) {
		switch {
		case a.Stopping:
			p.why[i] = because(CodeStopping, "Its download is being stopped.")
		case p.cores == 0:
			p.act(Stop, i, p.idle)
		default:
			p.why[i] = because(CodePreparing, "Its program and inputs are being fetched.")
		}
	})
}

// start begins what is ready while there are cores. Attempts that are being
// stopped hold their core until they are gone.
func (p *planner) start() {
	free := p.cores - p.count(StageRunning)
	p.each(StageReady, func(i int, _ *Attempt) {
		switch {
		case p.idle.Code != "":
			p.why[i] = p.idle
		case free <= 0:
			p.why[i] = because(CodeWaiting, "It is ready and waits for a core.")
		default:
			p.act(Start, i, because(CodeComputing, "A core is free, and its deadline is the next."))
			p.starting[i] = true
			free--
		}
	})
}

// maxTransfers bounds how many downloads, and how many uploads, go on at once.
const maxTransfers = 4

// fetch gets what the next tasks need while the earlier ones run: as many as
// there are cores, so that no more lies on the disk than will soon be used.
func (p *planner) fetch() {
	fetching, ready := p.count(StageFetching), p.count(StageReady)-len(p.starting)
	room := min(p.cores-fetching-ready, maxTransfers-fetching)
	p.each(StageAccepted, func(i int, a *Attempt) {
		switch {
		case p.idle.Code != "":
			p.why[i] = p.idle
		case a.RetryAt.After(p.now):
			p.why[i] = because(CodeRetry, "What it needs could not be fetched; the next try is in %s.", span(a.RetryAt.Sub(p.now)))
			p.wake(a.RetryAt)
		case room <= 0:
			p.why[i] = because(CodeWaiting, "It waits until earlier tasks have begun.")
		default:
			p.act(Fetch, i, because(CodePreparing, "It is among the next to run."))
			room--
		}
	})
}

// upload sends large outputs. Results that stand are delivered even while
// nothing may run: pausing must not lose them.
func (p *planner) upload() {
	room := maxTransfers - p.count(StageUploading)
	p.each(StageUploading, func(i int, a *Attempt) {
		p.why[i] = because(CodeUploading, "It is computed; its output is being uploaded.")
		if a.Stopping {
			p.why[i] = because(CodeStopping, "Its upload is being stopped.")
		}
	})
	p.each(StageFinished, func(i int, a *Attempt) {
		switch {
		case a.RetryAt.After(p.now):
			p.why[i] = because(CodeRetry, "Its output could not be uploaded; the next try is in %s.", span(a.RetryAt.Sub(p.now)))
			p.wake(a.RetryAt)
		case room <= 0:
			p.why[i] = because(CodeWaiting, "Its output waits until others are uploaded.")
		default:
			p.act(Upload, i, because(CodeUploading, "Its output is too large to travel inside a report."))
			room--
		}
	})
	p.each(StageReportable, func(i int, _ *Attempt) {
		p.why[i] = because(CodeReporting, "It is computed; its report waits for the next call.")
	})
	p.each(StageSent, func(i int, _ *Attempt) {
		p.why[i] = because(CodeReporting, "It is computed; its report waits to be acknowledged.")
	})
}
