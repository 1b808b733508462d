package loadgen

import (
	"bytes"
	"crypto/ed25519"
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

func attempts(n int) []attempt {
	var list []attempt
	for i := range n {
		id := task.AttemptID(1) << (i % 40)
		list = append(list, attempt{id: id, index: uint64(i) * 1000, sum: task.Sum([]byte{byte(i)})})
	}
	return list
}

// What is written by hand is what package wire would write.
func TestEncodesAsTheProtocolDoes(t *testing.T) {
	e := newEncoder(facts())
	for _, c := range []struct{ report, hold, want int }{{0, 0, 1}, {1, 0, 32}, {15, 3, 127}, {16, 0, 128}, {256, 40, 256}, {0, 4000, 0}} {
		report, hold := attempts(c.report), attempts(c.hold)
		x := protocol.Exchange{Want: uint16(c.want), AllowAll: true, Facts: facts()}
		for _, a := range report {
			out := Answer(a.sum)
			x.Reports = append(x.Reports, protocol.Report{
				Attempt: a.id, Task: a.sum, Work: answerWork, Outputs: answerList(a.sum).Encode(), Inline: [][]byte{out[:]},
			})
		}
		for _, a := range hold {
			x.Held = append(x.Held, a.id)
		}
		payload := e.exchange(nil, report, hold, c.want)
		if want := wire.Marshal(&x); !bytes.Equal(payload, want) {
			t.Errorf("%+v: got the exchange %x, want %x", c, payload, want)
		}
		v := protocol.Envelope{Version: protocol.Version, Session: 1 << 60, Opened: 1 << 40, Number: 300, Purpose: protocol.PurposeExchange, Payload: payload}
		v.Sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
		if got, want := e.envelope(nil, &v), wire.Marshal(&v); !bytes.Equal(got, want) {
			t.Errorf("%+v: got the envelope %x, want %x", c, got, want)
		}
	}
}

// sampleReply is an answer with everything in it.
func sampleReply(n int) *protocol.Reply {
	x := &protocol.ExchangeReply{
		Acks: []protocol.Ack{1, 2, 6}, Cancel: []task.AttemptID{7, 1 << 50}, Reason: task.ReasonAllGiven, AfterMillis: 100, NextMillis: 1999,
		Time: 1 << 41, Members: []protocol.Member{{Node: "n1", URL: "http://127.0.0.1:1"}, {Node: "n2", URL: "http://127.0.0.1:2"}}, Leader: "n2",
	}
	for i := range n {
		t := task.Task{
			Job: task.JobID{9}, Index: uint64(i) * 70_000, Program: task.Digest{1}, Meter: 1, Args: []string{"from", "to"}, Seed: 1 << 63,
			Inputs: []task.InputRange{{Path: "a", Offset: 1, Length: 2}},
			Limits: task.Limits{Work: 1, Memory: 1 << 20, Wall: 1000, Deadline: 60_000},
		}
		x.Attempts = append(x.Attempts, protocol.Attempt{ID: task.AttemptID(i + 100), Task: t, Sum: t.Sum(), DeadlineMillis: 60_000, Version: protocol.Signed{Project: "p", App: "a", Signature: make([]byte, 64)}})
	}
	return &protocol.Reply{Exchange: x}
}

// same compares what was read by hand with what package protocol reads.
func same(t *testing.T, r *reply, want *protocol.Reply) {
	t.Helper()
	if want.Error != nil || r.refused != nil {
		if want.Error == nil || r.refused == nil || *r.refused != *want.Error {
			t.Errorf("got the refusal %+v, want %+v", r.refused, want.Error)
		}
	}
	x := want.Exchange
	if x == nil {
		x = &protocol.ExchangeReply{}
	}
	var acks []byte
	for _, a := range x.Acks {
		acks = append(acks, byte(a))
	}
	var list []attempt
	for i := range x.Attempts {
		list = append(list, attempt{id: x.Attempts[i].ID, index: x.Attempts[i].Task.Index, sum: x.Attempts[i].Sum})
	}
	if !bytes.Equal(r.acks, acks) || string(r.leader) != string(x.Leader) || !slices.Equal(r.attempts, list) {
		t.Errorf("got %+v, want %+v", r, x)
	}
}

// payload is what stands in the frame of a reply.
func payload(r *protocol.Reply) []byte {
	_, b, err := wire.Open(r.Encode(), protocol.MaxReply)
	if err != nil {
		panic(err)
	}
	return b
}

func TestReadsWhatTheProtocolWrites(t *testing.T) {
	var r reply // used again for each
	for _, want := range []*protocol.Reply{
		sampleReply(0), sampleReply(1), sampleReply(256), sampleReply(3),
		{Error: protocol.Refuse(protocol.CodeNoLeader, "wait")},
		{Done: &protocol.Done{Time: 7}},
	} {
		if err := r.decode(payload(want)); err != nil {
			t.Fatal(err)
		}
		same(t, &r, want)
	}
}

func TestRefusesWhatIsNoReply(t *testing.T) {
	whole := payload(sampleReply(2))
	for name, b := range map[string][]byte{
		"nothing":              {},
		"cut short":            whole[:len(whole)-1],
		"something behind":     append(slices.Clone(whole), 0),
		"a number":             {7},
		"a list of 2^32":       {0x81, 0xa1, 'x', 0x81, 0xa1, 'a', 0xdd, 0xff, 0xff, 0xff, 0xff},
		"a checksum too short": {0x81, 0xa1, 'x', 0x81, 0xa1, 'a', 0x91, 0x81, 0xa1, 's', 0xc4, 1, 0},
		"a float":              {0x81, 0xa1, 'x', 0x81, 0xa1, 'w', 0xcb, 0, 0, 0, 0, 0, 0, 0, 0},
		"deep nesting":         append([]byte{0x81, 0xa1, 'z'}, bytes.Repeat([]byte{0x91}, 1<<20)...),
	} {
		var r reply
		if err := r.decode(b); err == nil {
			t.Errorf("%s: got %+v, want an error", name, r)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add(payload(sampleReply(0)))
	f.Add(payload(sampleReply(3)))
	f.Add(payload(&protocol.Reply{Error: protocol.Refuse(protocol.CodeOverloaded, "later")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r reply
		err := r.decode(b)
		want, wireErr := protocol.DecodeReply(wire.Seal(protocol.FrameReply, b))
		if err == nil && wireErr == nil {
			same(t, &r, want)
		}
	})
}

func BenchmarkExchange(b *testing.B) {
	e, list := newEncoder(facts()), attempts(32)
	answer := payload(sampleReply(32))
	var out []byte
	var r reply
	b.ReportAllocs()
	for b.Loop() {
		out = e.exchange(out[:0], list, nil, 32)
		if err := r.decode(answer); err != nil {
			b.Fatal(err)
		}
	}
}
