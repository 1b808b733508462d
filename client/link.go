package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/sheafgrid/sheaf/client/journal"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// link is how things stand with the cluster, as the journal has it.
type link struct {
	owner    *journal.Owner   // nil: no cluster has answered yet
	session  *journal.Session // nil: one must be opened
	request  *journal.Request // on its way
	enrolled bool
	members  []protocol.Member

	refusals int // in a row
	most     int // reports that an exchange may hold, fewer after a refusal; 0: no refusal
	single   int // exchanges with one report that were refused, in a row
}

func (l *link) restore(s journal.State) {
	*l = link{owner: s.Owner, session: s.Session, request: s.Request, enrolled: s.Enrolled, members: s.Members}
}

// resume repeats the request that was on its way when the program ended.
func (r *run) resume(ctx context.Context) {
	if r.link.request != nil {
		r.transmit(ctx)
	}
}

// call takes the next step towards an exchange: to find out about the cluster,
// to open a session, to enrol, or the exchange itself.
func (r *run) call(ctx context.Context, rules plan.Rules, want int) error {
	switch l := &r.link; {
	case l.request != nil:
		r.transmit(ctx)
	case l.owner == nil || l.session == nil:
		r.askCluster(ctx)
	case !l.enrolled:
		return r.request(ctx, protocol.PurposeEnrol, r.enrolment(rules), nil, 0)
	default:
		x, reports := r.exchange(rules, want)
		return r.request(ctx, protocol.PurposeExchange, x, reports, x.Want)
	}
	return nil
}

// askCluster asks once which cluster the coordinators belong to, and its time.
func (r *run) askCluster(ctx context.Context) {
	r.contact.Busy = true
	r.work(func() func() error {
		view, err := r.remote.Cluster(ctx)
		return func() error { return r.clusterKnown(ctx, view, err) }
	})
}

// clusterKnown makes the journal the cluster's, and opens a session in it.
func (r *run) clusterKnown(ctx context.Context, view protocol.ClusterView, err error) error {
	r.contact.Busy = false
	l := &r.link
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, remote.ErrOtherCluster), protocol.HasCode(err, protocol.CodeVersion),
		l.owner == nil && (errors.Is(err, remote.ErrNotCoordinator) || errors.Is(err, remote.ErrNotTrusted)):
		return err // waiting would not mend it
	case err != nil:
		r.putOff(0, capital(err.Error())+".")
		return nil
	}
	owner := r.owner(view.Cluster)
	if err := r.journal.SetOwner(owner); err != nil {
		return err
	}
	id, err := remote.DrawSession()
	if err != nil {
		return err
	}
	if err := r.journal.OpenSession(id, view.Time); err != nil {
		return err
	}
	l.owner, l.session, l.request = &owner, &journal.Session{ID: id, Opened: view.Time}, nil
	r.unsend()
	r.contact = plan.Contact{} // the next step comes at once
	r.tell(EventSession, nil, "")
	return r.noteMembers()
}

// request numbers, signs, records and sends a request.
func (r *run) request(ctx context.Context, purpose protocol.Purpose, payload any, reports []*held, want uint16) error {
	l := &r.link
	e := protocol.Envelope{
		Version: protocol.Version, Cluster: l.owner.Cluster, Session: l.session.ID, Opened: l.session.Opened,
		Number: l.session.Last + 1, Purpose: purpose, Payload: wire.Marshal(payload),
	}
	e.Sign(r.host)
	q := journal.Request{Number: e.Number, Purpose: purpose, Frame: e.Encode(), Want: want}
	for _, h := range reports {
		q.Reports = append(q.Reports, h.attempt.ID)
	}
	if err := r.journal.Sent(q); err != nil {
		return err
	}
	l.session.Last = e.Number
	l.request = &q
	for _, h := range reports {
		h.stage = plan.StageSent
	}
	r.transmit(ctx)
	return nil
}

// transmit sends the request that is recorded, for the first time or again.
func (r *run) transmit(ctx context.Context) {
	r.contact.Busy = true
	q := r.link.request
	r.work(func() func() error {
		reply, err := r.remote.Send(ctx, q.Frame)
		return func() error { return r.answered(ctx, q, reply, err) }
	})
}

func (r *run) enrolment(rules plan.Rules) protocol.Enrol {
	return protocol.Enrol{
		Account: protocol.PublicKey(r.account), AccountName: r.cfg.AccountName, HostName: r.cfg.HostName,
		Certificate: protocol.Certify(r.account, protocol.PublicKey(r.host)), Facts: r.facts(rules),
	}
}

func (r *run) facts(rules plan.Rules) protocol.HostFacts {
	return protocol.HostFacts{
		Client: r.cfg.Version, OS: runtime.GOOS, Arch: runtime.GOARCH,
		Cores: uint16(max(min(rules.Cores, r.cfg.Sense().Cores), 0)), Memory: rules.Memory,
	}
}

// usualExchange is how many bytes of reports travel in one exchange, unless a
// single one has more. A coordinator waits half a minute for an exchange to
// arrive whole, and some lines are slow; what does not fit comes in the next.
const usualExchange = 1 << 20

// reportSize is a bound on the bytes of a report.
func reportSize(r *protocol.Report) int {
	n := 128 + len(r.Note) + len(r.Outputs)
	for _, b := range r.Inline {
		n += 5 + len(b)
	}
	return n
}

// exchange is what there is to say, and whose reports it holds.
func (r *run) exchange(rules plan.Rules, want int) (protocol.Exchange, []*held) {
	x := protocol.Exchange{Want: uint16(want), Allow: rules.Allow, AllowAll: rules.AllowAll, Facts: r.facts(rules)}
	var reports []*held
	most, room := protocol.MaxReports, usualExchange
	if r.link.most > 0 {
		most = r.link.most // one of many was refused: find out which
	}
	for _, h := range r.queue {
		if h.stage == plan.StageReportable && len(reports) < most {
			size := reportSize(&h.result.Report)
			if len(reports) == 0 || size <= room {
				room -= size
				reports = append(reports, h)
				x.Reports = append(x.Reports, h.result.Report)
				continue
			}
		}
		if len(x.Held) < protocol.MaxHeld {
			x.Held = append(x.Held, h.attempt.ID)
		}
	}
	return x, reports
}

// putOff calls again later, the later the more often it failed.
func (r *run) putOff(advised time.Duration, text string) {
	r.link.refusals++
	now := time.Now()
	r.contact = plan.AfterRefusal(now, r.link.refusals, advised, text)
	spread := time.Duration(r.cfg.Random.Int64N(int64(r.contact.NotBefore.Sub(now)/2) + 1))
	r.contact.NotBefore = r.contact.NotBefore.Add(spread)
	r.contact.NotAfter = r.contact.NotAfter.Add(spread)
}

// unsend lets reports wait again that were on their way.
func (r *run) unsend() {
	for _, h := range r.queue {
		if h.stage == plan.StageSent {
			h.stage = plan.StageReportable
		}
	}
}

// noteMembers keeps the cluster's members for the next start.
func (r *run) noteMembers() error {
	members := r.remote.Members()
	if len(members) == 0 || slices.Equal(members, r.link.members) {
		return nil
	}
	r.link.members = members
	return r.journal.SetMembers(members)
}

// errCloned: two programs take turns with one identity.
func errCloned(dir string, err error) error {
	return fmt.Errorf("another program has used the keys and the session of the data folder %s: "+
		"it was copied, or put back from a backup; end the other program, and move journal.db away to go on here with the same keys, "+
		"or start in a folder of its own (%w)", dir, err)
}

// deadline is when an attempt's time is over.
func deadline(now time.Time, millis uint64) time.Time {
	return now.Add(time.Duration(min(millis, uint64(task.MaxDeadline))) * time.Millisecond)
}
