package client

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/sheafgrid/sheaf/client/journal"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/protocol"
)

// finish records how an attempt ended. From here on it is delivered, whatever
// happens to this machine.
func (r *run) finish(h *held, result *journal.Result, kind EventKind, text string) error {
	result.Report.Attempt = h.attempt.ID
	if err := r.journal.Finish(*result); err != nil {
		return err
	}
	h.release()
	h.result = result
	h.retries, h.retryAt = 0, time.Time{}
	h.reportable()
	if len(result.Uploads) > 0 {
		h.stage = plan.StageFinished
	}
	r.tell(kind, h, text)
	return nil
}

// fail reports an attempt that brought no result. When that happens again and
// again, something is wrong here, and the machine rests for a while.
func (r *run) fail(h *held, why protocol.Failure, text string) error {
	if why != protocol.FailureAbandoned {
		r.counts.Failed++
		if r.trouble.failed() {
			r.inTrouble(fmt.Errorf("one task after the other failed here, the last one: %s", text))
		}
	}
	return r.finish(h, failed(h, why, text), EventFailed, fmt.Sprintf("%s: %s", why, text))
}

// failed is the report of an attempt without a result.
func failed(h *held, why protocol.Failure, text string) *journal.Result {
	return &journal.Result{Report: protocol.Report{
		Attempt: h.attempt.ID, Task: h.attempt.Task.Sum(), Failure: why, Note: note(text),
	}}
}

// note makes a text fit into a report.
func note(text string) string {
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, text)
	if len(text) > protocol.MaxNote {
		text = strings.ToValidUTF8(text[:protocol.MaxNote-3], "") + "..."
	}
	return text
}

// settle does with an attempt what the plan said, now that nothing of it goes
// on any more.
func (r *run) settle(h *held, kind plan.Kind, why string) error {
	h.stopping = false
	switch kind {
	case plan.Forget:
		if err := r.journal.Forget(h.attempt.ID); err != nil {
			return err
		}
		r.tell(EventForgotten, h, why)
		r.remove(h)
		return nil
	case plan.GiveBack:
		return r.fail(h, protocol.FailureAbandoned, why)
	}
	switch h.stage {
	case plan.StageFetching:
		h.release()
		h.stage = plan.StageAccepted
	case plan.StageRunning:
		h.stage = plan.StageReady
	case plan.StageUploading:
		h.stage = plan.StageFinished
	}
	r.tell(EventStopped, h, why)
	return nil
}
