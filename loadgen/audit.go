package loadgen

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// maxProblems bounds the problems that are told one by one.
const maxProblems = 20

// Audit is what a comparison of receipts with the cluster's records found.
type Audit struct {
	Tasks    uint64                 // released
	Valid    uint64                 // of them, those with enough equal and right results
	Receipts uint64                 // reports that hosts were told are accepted
	Lost     uint64                 // of them, those that the cluster does not have
	Twice    uint64                 // credits to a host for a task that it was credited for before
	Unknown  uint64                 // results that no host has a receipt for
	Wrong    uint64                 // results that are not what the host reported, or not found right
	Extra    uint64                 // attempts beyond those that the job asks for
	Hosts    map[task.Key]HostTotal // what the released tasks say of each host
	Problems []string               // the first of all of these, in words
}

// HostTotal sums up a host's attempts at released tasks.
type HostTotal struct {
	Valid  uint64
	Credit int64
}

// OK reports whether every released task and every receipt is accounted for.
func (a *Audit) OK() bool {
	return a.Valid == a.Tasks && a.Lost == 0 && a.Twice == 0 && a.Unknown == 0 && a.Wrong == 0
}

func (a *Audit) problem(format string, args ...any) {
	if len(a.Problems) < maxProblems {
		a.Problems = append(a.Problems, fmt.Sprintf(format, args...))
	}
}

// Audit compares the receipts of all hosts with the attempts at released tasks
// that the cluster shows. expect is the checksum of a task of the job, made from
// its specification alone (T1). page reads a protocol.AttemptPage that begins at
// a task. Nothing may be under way.
func (l *Load) Audit(expect func(index uint64) (task.Digest, error), page func(from uint64) (protocol.AttemptPage, error)) (*Audit, error) {
	b := &auditor{quorum: task.Check{Replicate: uint8(l.cfg.Replicate)}.Quorum(), replicate: l.cfg.Replicate, expect: expect}
	b.Hosts = map[task.Key]HostTotal{}
	for i, h := range l.hosts {
		b.keys = append(b.keys, h.public)
		for _, r := range h.receipts {
			r.host = uint32(i)
			b.receipts = append(b.receipts, r)
		}
	}
	b.Receipts = uint64(len(b.receipts))
	slices.SortFunc(b.receipts, func(x, y receipt) int {
		return cmp.Or(cmp.Compare(x.index, y.index), cmp.Compare(x.id, y.id))
	})
	for from, done := uint64(0), false; !done; {
		p, err := page(from)
		if err != nil {
			return nil, err
		}
		if err := b.page(p.Attempts); err != nil {
			return nil, err
		}
		if !p.Done && p.Next <= from {
			return nil, fmt.Errorf("audit: the page after task %d begins at task %d", from, p.Next)
		}
		from, done = p.Next, p.Done
	}
	for _, r := range b.receipts {
		b.lost(r)
	}
	return &b.Audit, nil
}

// auditor walks over receipts and attempts side by side, in the order of tasks.
type auditor struct {
	Audit
	quorum    int
	replicate int
	expect    func(uint64) (task.Digest, error)
	keys      []task.Key
	receipts  []receipt // those that were not met yet
}

func (b *auditor) lost(r receipt) {
	b.Lost++
	b.problem("R1: attempt %d at task %d by host %d was accepted and is gone", r.id, r.index, r.host+1)
}

// page looks at attempts of whole tasks.
func (b *auditor) page(attempts []protocol.AttemptView) error {
	slices.SortFunc(attempts, func(x, y protocol.AttemptView) int {
		return cmp.Or(cmp.Compare(x.Index, y.Index), cmp.Compare(x.Attempt, y.Attempt))
	})
	for len(attempts) > 0 {
		n := 1
		for n < len(attempts) && attempts[n].Index == attempts[0].Index {
			n++
		}
		if err := b.task(attempts[:n]); err != nil {
			return err
		}
		attempts = attempts[n:]
	}
	return nil
}

// task looks at all attempts at one released task.
func (b *auditor) task(attempts []protocol.AttemptView) error {
	index := attempts[0].Index
	sum, err := b.expect(index)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	want := answerList(sum).Digest()
	valid := 0
	for i := range attempts {
		a := &attempts[i]
		b.credit(attempts[:i], a)
		switch a.State {
		case "valid", "wrong", "reported":
		default:
			continue // it brought no result; a receipt for it is missed below
		}
		b.match(a)
		if a.State != "valid" || a.Exit != 0 || a.Output != want || a.Work != answerWork {
			b.Wrong++
			b.problem("attempt %d at task %d is %s with output %s, want valid with %s", a.Attempt, index, a.State, a.Output.Short(), want.Short())
			continue
		}
		valid++
	}
	b.Tasks++
	b.Extra += uint64(max(0, len(attempts)-b.replicate))
	if valid >= b.quorum {
		b.Valid++
	} else {
		b.problem("task %d was released with %d valid results, want %d", index, valid, b.quorum)
	}
	return nil
}

// match finds the receipt of an attempt.
func (b *auditor) match(a *protocol.AttemptView) {
	for len(b.receipts) > 0 && before(b.receipts[0], a) {
		b.lost(b.receipts[0])
		b.receipts = b.receipts[1:]
	}
	if len(b.receipts) == 0 || b.receipts[0].id != a.Attempt || uint64(b.receipts[0].index) != a.Index || b.keys[b.receipts[0].host] != a.Host {
		b.Unknown++
		b.problem("attempt %d at task %d is %s, and no host was told that it was accepted", a.Attempt, a.Index, a.State)
		return
	}
	b.receipts = b.receipts[1:]
}

func before(r receipt, a *protocol.AttemptView) bool {
	return uint64(r.index) < a.Index || uint64(r.index) == a.Index && r.id < a.Attempt
}

// credit adds up what a host got, and looks whether it got it before (C1).
func (b *auditor) credit(earlier []protocol.AttemptView, a *protocol.AttemptView) {
	if a.Credit == 0 {
		return
	}
	t := b.Hosts[a.Host]
	t.Valid, t.Credit = t.Valid+1, t.Credit+a.Credit
	b.Hosts[a.Host] = t
	for i := range earlier {
		if earlier[i].Host == a.Host && earlier[i].Credit > 0 {
			b.Twice++
			b.problem("C1: host %s was credited for task %d by attempts %d and %d", a.HostName, a.Index, earlier[i].Attempt, a.Attempt)
		}
	}
}

// Compare checks the totals that the cluster shows of its hosts against those
// of their attempts: credit must come from nothing else (C1).
func (a *Audit) Compare(hosts []protocol.HostView) {
	for i := range hosts {
		h := &hosts[i]
		want := a.Hosts[h.Host]
		if h.Credit == want.Credit && h.Valid == want.Valid && h.Wrong == 0 {
			continue
		}
		if h.Credit > want.Credit {
			a.Twice++
		} else {
			a.Wrong++
		}
		a.problem("C1: host %s has %d credits for %d valid results, %d wrong; its attempts make %d for %d", h.Host, h.Credit, h.Valid, h.Wrong, want.Credit, want.Valid)
	}
}
