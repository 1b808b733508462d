package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sheafgrid/sheaf/client/journal"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// answered takes the answer to the request on its way. Until it is recorded,
// the request counts as unanswered and would be repeated.
func (r *run) answered(ctx context.Context, q *journal.Request, reply *protocol.Reply, err error) error {
	r.contact.Busy = false
	var refusal *protocol.Error
	switch {
	case err != nil && ctx.Err() != nil:
		return nil // it is repeated at the next start
	case errors.Is(err, remote.ErrOtherCluster):
		return err
	case errors.As(err, &refusal):
		return r.refused(q, refusal)
	case err != nil:
		r.putOff(0, capital(err.Error())+".")
		return nil
	case q.Purpose == protocol.PurposeEnrol && reply.Done != nil:
		return r.enrolled()
	case q.Purpose == protocol.PurposeExchange && reply.Exchange != nil && len(reply.Exchange.Acks) == len(q.Reports):
		return r.exchanged(q, reply.Exchange)
	}
	r.putOff(0, "A coordinator answered something else than was asked.")
	r.tell(EventRefused, nil, r.contact.Trouble)
	return nil
}

// settled records that the request on its way has its answer.
func (r *run) settled(a journal.Answer) error {
	if err := r.journal.Answered(r.link.request.Number, a); err != nil {
		return err
	}
	r.link.request = nil
	return nil
}

func (r *run) enrolled() error {
	if err := r.settled(journal.Answer{}); err != nil {
		return err
	}
	if err := r.journal.SetEnrolled(true); err != nil {
		return err
	}
	r.link.enrolled = true
	r.link.refusals = 0
	r.contact = plan.Contact{} // the first exchange comes at once
	r.tell(EventEnrolled, nil, "")
	return r.noteMembers()
}

// exchanged takes what an exchange brought: acknowledgements, attempts, and
// which attempts nobody waits for.
func (r *run) exchanged(q *journal.Request, x *protocol.ExchangeReply) error {
	now := time.Now()
	var reported []*held
	for _, id := range q.Reports {
		h := r.find(id)
		if h == nil || h.result == nil {
			return fmt.Errorf("attempt %d was reported and is not held; please report this", id)
		}
		reported = append(reported, h)
	}
	if err := r.trail.add(reported, x.Acks); err != nil {
		return err
	}
	accepted := r.accept(now, x.Attempts, int(q.Want))
	a := journal.Answer{Acknowledged: q.Reports}
	for _, h := range accepted {
		a.Accepted = append(a.Accepted, journal.Held{Attempt: h.attempt, Deadline: h.deadline})
	}
	if err := r.settled(a); err != nil {
		return err
	}
	r.link.refusals, r.link.single = 0, 0
	if r.link.most *= 2; r.link.most >= protocol.MaxReports {
		r.link.most = 0
	}
	for i, h := range reported {
		r.counts.count(x.Acks[i])
		r.send(Event{Kind: EventAcknowledged, Ack: x.Acks[i]}, h)
		switch {
		case x.Acks[i] == protocol.AckRefused && r.trouble.wasRefused():
			r.inTrouble(errors.New("the coordinator refuses one result of this machine after the other"))
		case x.Acks[i] == protocol.AckAccepted && h.result.Report.Failure == protocol.FailureNone:
			r.trouble.accepted()
		}
		r.remove(h)
	}
	for _, h := range accepted {
		r.add(h)
		r.tell(EventAccepted, h, "")
	}
	for _, id := range x.Cancel {
		if h := r.find(id); h != nil && !slices.Contains(accepted, h) {
			h.cancelled = true
		}
	}
	r.contact = plan.AfterReply(now, int(q.Want), x)
	return r.noteMembers()
}

// accept makes attempts ours, as far as they were asked for and are new: an
// answer that is repeated hands out the same ones. What is not accepted is not
// held, so the cluster takes it back with the next call.
func (r *run) accept(now time.Time, attempts []protocol.Attempt, want int) []*held {
	var accepted []*held
	seen := map[task.AttemptID]bool{0: true}
	for _, a := range attempts {
		if seen[a.ID] || r.find(a.ID) != nil || len(accepted) == want || len(r.queue)+len(accepted) >= protocol.MaxHeld {
			continue
		}
		seen[a.ID] = true
		accepted = append(accepted, &held{attempt: a, deadline: deadline(now, a.DeadlineMillis)})
	}
	return accepted
}

// refused takes a refusal of the request on its way.
func (r *run) refused(q *journal.Request, no *protocol.Error) error {
	switch no.Code {
	case protocol.CodeReusedNumber, protocol.CodeAlreadyDone:
		return errCloned(r.cfg.Dir, no)
	case protocol.CodeWrongCluster, protocol.CodeVersion, protocol.CodeBadSignature:
		return no
	case protocol.CodeSession:
		// It was too long ago. Nothing of the request was carried out, or so
		// long ago that a report, sent again, is found to be a repetition.
		r.link.session, r.link.request = nil, nil // the journal gives it up when the next one is opened
		r.again(no)
		return nil
	}
	if q.Purpose == protocol.PurposeEnrol {
		return no // it would be refused for ever
	}
	if err := r.settled(journal.Answer{}); err != nil {
		return err
	}
	r.unsend()
	r.tell(EventRefused, nil, no.Text)
	if no.Code == protocol.CodeUnknownKey && r.link.enrolled {
		r.link.enrolled = false
		r.again(no)
		return r.journal.SetEnrolled(false)
	}
	r.putOff(time.Duration(no.RetryMillis)*time.Millisecond, capital(no.Text))
	return r.isolate(q)
}

// again calls at once after a refusal that tells what to do, and later when the
// same comes again.
func (r *run) again(no *protocol.Error) {
	if r.link.refusals > 0 {
		r.putOff(0, capital(no.Text))
		return
	}
	r.link.refusals++
	r.contact = plan.Contact{}
}

// maxSingle is how often a report is refused by itself before its result is
// given up.
const maxSingle = 5

// isolate finds out, by halves, which report an exchange was refused for.
// Whatever it is, the others must not wait for it for ever.
func (r *run) isolate(q *journal.Request) error {
	if len(q.Reports) == 0 {
		return nil
	}
	r.link.most = max(len(q.Reports)/2, 1)
	if len(q.Reports) > 1 {
		return nil
	}
	if r.link.single++; r.link.single <= maxSingle {
		return nil
	}
	r.link.single = 0
	h := r.find(q.Reports[0])
	if h.result.Report.Failure != protocol.FailureNone {
		return nil // there is nothing left to leave out
	}
	return r.withdraw(h, "its report was refused again and again: "+r.contact.Trouble)
}
