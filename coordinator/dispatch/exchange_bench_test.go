package dispatch

import (
	"context"
	"log/slog"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// loneNode is a log of one node, kept nowhere.
type loneNode struct{ state *state.State }

func (n loneNode) View(fn func(*state.State)) { fn(n.state) }
func (n loneNode) Now() task.Millis           { return 1 }
func (n loneNode) Leader() task.NodeID        { return "node-1" }

func (n loneNode) Propose(_ context.Context, c state.Command) (state.Result, error) {
	now, commands, err := state.DecodeEntry(state.EncodeEntry(state.Entry{Now: 1, Commands: [][]byte{state.EncodeCommand(c)}}))
	if err != nil {
		return state.Result{}, err
	}
	return n.state.Apply(now, commands)[0], nil
}

// noOutputs keeps nothing of what it is given.
type noOutputs struct{}

func (noOutputs) PutBatch(context.Context, []storage.Small) error { return nil }
func (noOutputs) Have(context.Context, task.Digest) (bool, error) { return true, nil }
func (noOutputs) ReadAll(context.Context, task.Digest, int64) ([]byte, error) {
	return nil, storage.ErrNotFound
}

// exchange is a request that reports everything it was given before, and wants
// as much again.
func (f *fleet) exchange(host int, given []protocol.Attempt) *protocol.Envelope {
	x := protocol.Exchange{Want: 32, AllowAll: true, Facts: protocol.HostFacts{Cores: 4, Memory: 1 << 30}}
	for _, a := range given {
		out := []byte("what task " + a.Task.Args[0] + " came to, in about sixty-four bytes")
		list := task.OutputList{{Name: task.OutputStdout, Size: int64(len(out)), Digest: task.Sum(out)}}
		x.Reports = append(x.Reports, protocol.Report{Attempt: a.ID, Task: a.Sum, Work: 5_000_000, Outputs: list.Encode(), Inline: [][]byte{out}})
	}
	q := f.request(fleetKey(2 * uint64(host)))
	return &protocol.Envelope{
		Key: q.Key, Session: q.Session, Opened: q.Opened, Number: q.Number, Purpose: protocol.PurposeExchange, Payload: wire.Marshal(&x),
	}
}

// judge accepts what was reported and waits for a verdict.
func (f *fleet) judge(t testing.TB, reported []protocol.Attempt) {
	var verdicts []state.Verdict
	for i := range reported {
		a, _ := f.state.Attempt(reported[i].ID)
		if k, ok := f.state.Task(a.Stage, uint64(a.Index)); ok && k.Ripe {
			verdicts = append(verdicts, state.Verdict{Stage: a.Stage, Index: uint64(a.Index), Winner: reported[i].ID})
		}
	}
	f.apply(t, &state.Judge{Verdicts: verdicts})
}

// BenchmarkExchange is exchanges of 32 reports and 32 new tasks, from the payload
// to the reply's bytes, the log's own included. What it allocates is garbage for
// the leader, but for what the state keeps.
func BenchmarkExchange(b *testing.B) {
	const hosts = 16
	f := newFleet(b, 1, 1, hosts)
	d := New(loneNode{f.state}, noOutputs{}, NewTasks(noOutputs{}), f.rnd, slog.New(slog.DiscardHandler))
	given := make([][]protocol.Attempt, hosts)
	var x protocol.ExchangeReply
	var sent []byte
	turn := 0
	round := func() {
		h := turn % hosts
		turn++
		b.StopTimer()
		e := f.exchange(h, given[h])
		b.StartTimer()
		if err := d.Exchange(b.Context(), e, &x); err != nil {
			b.Fatal(err)
		}
		sent = (&protocol.Reply{Exchange: &x}).Append(sent[:0])
		b.StopTimer()
		f.judge(b, given[h])
		given[h] = append(given[h][:0], x.Attempts...)
		if len(given[h]) != 32 {
			b.Fatalf("%d attempts were given, want 32", len(given[h]))
		}
		b.StartTimer()
	}
	for range 2 * hosts {
		round() // every host has work, and reports from now on
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		round()
	}
}
