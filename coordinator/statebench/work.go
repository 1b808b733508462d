package statebench

import (
	"fmt"
	"runtime"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/validation"
)

// batch is the tasks that a host reports, and asks for, in one exchange.
const batch = 32

// verdicts is how many tasks one command judges at most.
const verdicts = 1024

// Hold hands out twice so many attempts, so that so many tasks have two each but
// for a few at the end. progress is told how many were handed out; its error
// ends the work.
func (b *Bench) Hold(tasks uint64, progress func(attempts uint64) error) error {
	handed := uint64(0)
	for turn := 0; handed < 2*tasks; turn++ {
		if turn > len(b.hosts)*protocol.MaxHeld {
			return fmt.Errorf("%d hosts may not hold %d attempts", len(b.hosts), 2*tasks)
		}
		h := b.hosts[turn%len(b.hosts)]
		want := min(batch, protocol.MaxHeld-len(h.held), int(2*tasks-handed))
		got, err := b.exchange(h, 0, want)
		if err != nil {
			return err
		}
		handed += uint64(got)
		if err := progress(handed); err != nil {
			return err
		}
	}
	return nil
}

// Finish makes the hosts compute, and the cluster judge, release and seal, until
// so many further tasks are sealed. progress is told how many are; its error
// ends the work.
func (b *Bench) Finish(tasks uint64, progress func(sealed uint64) error) error {
	sealed := uint64(0)
	for turn := 0; sealed < tasks; turn++ {
		h := b.hosts[turn%len(b.hosts)]
		if _, err := b.exchange(h, len(h.held), batch); err != nil {
			return err
		}
		if turn%len(b.hosts) != 0 {
			continue
		}
		n, err := b.sweep()
		if err != nil {
			return err
		}
		sealed += n
		if err := progress(sealed); err != nil {
			return err
		}
	}
	return nil
}

// exchange carries out one contact of a host, which reports so many of the
// attempts it holds, and returns how many it was given.
func (b *Bench) exchange(h *host, reports, want int) (given int, err error) {
	c := &state.Exchange{Request: b.request(h.key)}
	for _, id := range h.held[:reports] {
		c.Reports = append(c.Reports, b.report(id))
	}
	picks := b.pick(h, want)
	for _, p := range picks {
		c.Assign = append(c.Assign, state.Assignment{Stage: p.Stage, Index: p.Index})
	}
	results, err := b.apply(c)
	if err != nil {
		return 0, err
	}
	b.settle(picks, h)
	for i, ack := range results[0].Answer.Acks {
		if protocol.Ack(ack) != protocol.AckAccepted {
			return 0, fmt.Errorf("report %d of host %s was answered with %d", i, h.key, ack)
		}
	}
	h.held = append(h.held[:0], h.held[reports:]...)
	h.held = append(h.held, results[0].Answer.Attempts...)
	return len(results[0].Answer.Attempts), nil
}

// report is what an honest host says of an attempt: the same for both at one
// task, and another output for every task.
func (b *Bench) report(id task.AttemptID) state.Report {
	a, _ := b.state.Attempt(id)
	out := key(uint64(a.Index) + 1)
	return state.Report{Attempt: id, Work: 5_000_000, Output: task.Digest(out)}
}

// sweep does what a leader's loops do, and returns how many tasks it sealed.
func (b *Bench) sweep() (sealed uint64, err error) {
	for {
		j := &state.Judge{Verdicts: b.judge()}
		if len(j.Verdicts) == 0 {
			break
		}
		if _, err := b.apply(j); err != nil {
			return 0, err
		}
	}
	for id, ok := b.state.NextReady(0); ok; id, ok = b.state.NextReady(id) {
		for c, ok := b.state.NextReleasable(id, 0); ok; c, ok = b.state.NextReleasable(id, c) {
			if _, err := b.apply(&state.Release{Stage: id, Chunk: c}); err != nil {
				return 0, err
			}
		}
	}
	for stage, chunk, ok := b.state.NextSealable(0, 0); ok; stage, chunk, ok = b.state.NextSealable(0, 0) {
		sheaf, late := b.state.Collect(stage, chunk, new(state.SheafRoom))
		if _, err := b.apply(&state.Seal{Stage: stage, Chunk: chunk, Sheaf: sheaf.Digest(), Late: late}); err != nil {
			return 0, err
		}
		sealed += uint64(len(sheaf.Tasks))
	}
	return sealed, nil
}

// judge is the verdicts on tasks whose results are in.
func (b *Bench) judge() (out []state.Verdict) {
	for stage, ok := b.state.NextRipe(0); ok && len(out) < verdicts; stage, ok = b.state.NextRipe(stage + 1) {
		_, spec := b.state.Job(b.state.Stage(stage).Job)
		for i, ok := b.state.Ripe(stage, 0); ok && len(out) < verdicts; i, ok = b.state.Ripe(stage, i+1) {
			var votes []validation.Vote
			var ids []task.AttemptID
			b.state.Attempts(stage, i, func(id task.AttemptID, a *state.Attempt) {
				if a.State == state.AttemptReported {
					votes, ids = append(votes, validation.Vote{Exit: a.Exit, Output: a.Output, Work: a.Work}), append(ids, id)
				}
			})
			t, _ := b.state.Task(stage, i)
			v := state.Verdict{Stage: stage, Index: i}
			if d := validation.Decide(spec.Check, votes, int(t.Open)+int(t.Want), int(t.Tries)); d.Kind == validation.Accept {
				v.Winner = ids[d.Winner]
			}
			out = append(out, v)
		}
	}
	return out
}

// Heap is the bytes of live objects in this process, after what is dead has
// been collected.
func Heap() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers let go of at the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
