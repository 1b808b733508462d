package histories

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// host is a volunteer that computes in no time.
type host struct {
	*party
	number  int // its place in a job's state
	account ed25519.PrivateKey
	held    []held
	told    []held // reported and accepted; sometimes reported again
	gaveUp  map[place]bool
}

// place is a task of a job.
type place struct {
	job   *job
	index int
}

// held is an attempt that the host has.
type held struct {
	job     *job
	attempt task.AttemptID
	index   int
	sum     task.Digest
}

// workEach is what every task counts, and creditEach what a result is worth.
const (
	workEach   = 5_000_000
	creditEach = 5
)

var facts = protocol.HostFacts{Client: "history", OS: "linux", Arch: "amd64", Cores: 2, Memory: 1 << 30}

func (h *host) enrol(ctx context.Context) error {
	return h.do(ctx, protocol.PurposeEnrol, protocol.Enrol{
		Account: protocol.PublicKey(h.account), AccountName: fmt.Sprint("account-", h.number), HostName: fmt.Sprint("host-", h.number),
		Certificate: protocol.Certify(h.account, h.public()), Facts: facts,
	})
}

// work begins the host's exchanges.
func (h *host) work(ctx context.Context) error {
	for range h.run.cfg.Steps {
		if err := h.exchange(ctx, false); err != nil {
			return err
		}
		if err := h.rest(ctx); err != nil {
			return err
		}
	}
	return nil
}

// output is what a task leaves behind, whoever computes it.
func output(j *job, index int) []byte { return fmt.Appendf(nil, "job %s task %d\n", j.id, index) }

func outputs(j *job, index int) task.OutputList {
	b := output(j, index)
	return task.OutputList{{Name: task.OutputStdout, Size: int64(len(b)), Digest: task.Sum(b)}}
}

// exchange is one contact. diligent hosts report all they hold, and give
// nothing back.
func (h *host) exchange(ctx context.Context, diligent bool) error {
	x := protocol.Exchange{AllowAll: true, Facts: facts, Want: uint16(h.rnd.IntN(4))}
	if diligent {
		x.Want = 4
	}
	said := h.say(&x, diligent)
	e, err := h.envelope(ctx, protocol.PurposeExchange, x)
	if err != nil {
		return err
	}
	call := h.run.clock.Add(1)
	compare := func(func(*protocol.Reply) bool) {}
	if len(x.Reports) > 0 { // else it may come to nothing, the second time to something
		compare = h.hedge(ctx, e)
	}
	r, err := h.send(ctx, e)
	if err != nil {
		return err
	}
	if r.Error != nil {
		h.run.problem("an exchange of host %d was refused: %v", h.number, r.Error)
		return nil
	}
	h.run.checkTime(r.Exchange.Time)
	h.hear(call, said, r.Exchange)
	same := func(again *protocol.Reply) bool { return sameExchange(r, again) }
	compare(same)
	if len(r.Exchange.Acks)+len(r.Exchange.Attempts) > 0 && h.rnd.IntN(5) == 0 {
		h.repeat(ctx, e, same)
	}
	return nil
}

// sameExchange compares the answer to a copy. An attempt that has ended since
// is left out of the later one.
func sameExchange(a, b *protocol.Reply) bool {
	if b.Error != nil || b.Exchange == nil || !slices.Equal(a.Exchange.Acks, b.Exchange.Acks) {
		return false
	}
	within := func(x, y []protocol.Attempt) bool {
		return !slices.ContainsFunc(x, func(v protocol.Attempt) bool {
			return !slices.ContainsFunc(y, func(w protocol.Attempt) bool { return v.ID == w.ID && v.Sum == w.Sum })
		})
	}
	return within(a.Exchange.Attempts, b.Exchange.Attempts) || within(b.Exchange.Attempts, a.Exchange.Attempts)
}

// saying is one report as the host remembers it.
type saying struct {
	held
	giveBack bool
}

// say fills in what the host reports and what it holds.
func (h *host) say(x *protocol.Exchange, diligent bool) (said []saying) {
	for _, a := range h.held {
		switch n := h.rnd.IntN(20); {
		case n == 0 && !diligent && !h.gaveUp[place{a.job, a.index}]: // twice, and it would not be asked again for long
			h.gaveUp[place{a.job, a.index}] = true
			said = append(said, saying{a, true})
			x.Reports = append(x.Reports, protocol.Report{Attempt: a.attempt, Failure: protocol.FailureAbandoned})
		case n < 14 || diligent:
			said = append(said, saying{a, false})
			x.Reports = append(x.Reports, report(a))
		default:
			x.Held = append(x.Held, a.attempt)
		}
	}
	if n := len(h.told); n > 0 && h.rnd.IntN(6) == 0 && !diligent {
		again := h.told[h.rnd.IntN(n)]
		said = append(said, saying{again, false})
		x.Reports = append(x.Reports, report(again))
	}
	return said
}

func report(a held) protocol.Report {
	return protocol.Report{
		Attempt: a.attempt, Task: a.sum, Work: workEach,
		Outputs: outputs(a.job, a.index).Encode(), Inline: [][]byte{output(a.job, a.index)},
	}
}

// hear takes the answer, and records what it says of each job.
func (h *host) hear(call int64, said []saying, r *protocol.ExchangeReply) {
	about := map[*job]*parts{}
	var order []*job
	of := func(j *job) *parts {
		if about[j] == nil {
			about[j] = &parts{}
			order = append(order, j)
		}
		return about[j]
	}
	for i, s := range said {
		p := of(s.job)
		p.reports = append(p.reports, reported{s.attempt, s.index, s.giveBack})
		if i < len(r.Acks) {
			p.acks = append(p.acks, r.Acks[i])
			h.settle(s, r.Acks[i])
		}
	}
	for _, id := range r.Cancel {
		for _, a := range h.held {
			if a.attempt == id {
				of(a.job).told++
			}
		}
		h.drop(id)
	}
	for i := range r.Attempts {
		if j := h.take(&r.Attempts[i]); j != nil {
			p := of(j)
			p.given = append(p.given, given{r.Attempts[i].ID, int(r.Attempts[i].Task.Index)})
		}
	}
	client := publishers + h.number
	for _, j := range order {
		p := about[j]
		if len(p.reports)+len(p.given) > 0 {
			h.run.record(client, call, operation{kind: opReport, job: j, host: h.number, reports: p.reports, expiry: h.run.cfg.Expiry},
				answer{acks: p.acks, given: p.given, returned: -1})
		}
		if p.told > 0 {
			h.run.record(client, call, operation{kind: opTold, job: j, host: h.number, expiry: h.run.cfg.Expiry}, answer{told: p.told, returned: -1})
		}
	}
}

// parts are what one exchange says of one job.
type parts struct {
	reports []reported
	acks    []protocol.Ack
	given   []given
	told    int
}

// settle drops what was reported, and remembers what was accepted.
func (h *host) settle(s saying, ack protocol.Ack) {
	h.drop(s.attempt)
	if ack != protocol.AckAccepted || s.giveBack {
		return
	}
	h.told = append(h.told, s.held)
	h.run.mu.Lock()
	defer h.run.mu.Unlock()
	h.run.accepted = append(h.run.accepted, result{s.job, s.index, h.number})
}

func (h *host) drop(id task.AttemptID) {
	h.held = slices.DeleteFunc(h.held, func(a held) bool { return a.attempt == id })
}

// take keeps a new attempt, in place of one at the same task that has expired.
func (h *host) take(a *protocol.Attempt) *job {
	j := h.run.jobByID(a.Task.Job)
	if j == nil || a.Task.Sum() != a.Sum || int(a.Task.Index) >= maxTasks {
		h.run.problem("T1: attempt %d names task %d of job %s, with a checksum that does not fit or of nobody", a.ID, a.Task.Index, a.Task.Job)
		return nil
	}
	h.run.mu.Lock()
	if at, ok := h.run.attempts[a.ID]; ok {
		h.run.mu.Unlock()
		h.run.problem("attempt %d was handed out twice: first task %d", a.ID, at.index)
		return nil
	}
	h.run.attempts[a.ID] = given{a.ID, int(a.Task.Index)}
	h.run.mu.Unlock()
	h.held = slices.DeleteFunc(h.held, func(k held) bool { return k.job == j && k.index == int(a.Task.Index) })
	h.held = append(h.held, held{j, a.ID, int(a.Task.Index), a.Sum})
	return j
}
