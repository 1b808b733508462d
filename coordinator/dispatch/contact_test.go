package dispatch

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Exchanges that work in the room of earlier ones are answered as those that have
// their own.
func TestNothingIsLeftOfEarlierExchanges(t *testing.T) {
	const hosts = 3
	run := func(reused bool) (sent [][]byte) {
		f := newFleet(t, 2, 3, hosts)
		d := New(loneNode{f.state}, noOutputs{}, NewTasks(noOutputs{}), f.rnd, slog.New(slog.DiscardHandler))
		given := make([][]protocol.Attempt, hosts)
		x := new(protocol.ExchangeReply)
		for i := range 60 {
			h := i % hosts
			e := f.exchange(h, given[h])
			change(t, e, i)
			if !reused {
				d.contacts = sync.Pool{New: newContact}
				x = new(protocol.ExchangeReply)
			}
			if err := d.Exchange(t.Context(), e, x); err != nil {
				sent = append(sent, []byte(err.Error()))
				continue
			}
			sent = append(sent, (&protocol.Reply{Exchange: x}).Encode())
			if i%4 == 0 { // the host did not hear it, and asks again
				if err := d.Exchange(t.Context(), e, x); err != nil {
					t.Fatal(err)
				}
				sent = append(sent, (&protocol.Reply{Exchange: x}).Encode())
			}
			f.judge(t, given[h])
			given[h] = append([]protocol.Attempt(nil), x.Attempts...)
		}
		return sent
	}
	want, got := run(false), run(true)
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("answer %d: got %x, want %x", i, got[i], want[i])
		}
	}
}

// change makes an exchange differ from the others: in what it wants, reports and
// holds, and in what is wrong with it.
func change(t *testing.T, e *protocol.Envelope, i int) {
	var x protocol.Exchange
	if err := e.Decode(&x); err != nil {
		t.Fatal(err)
	}
	x.Want = uint16(i * 7 % 33)
	for k := range x.Reports {
		switch r := &x.Reports[k]; (i + k) % 7 {
		case 1:
			*r = protocol.Report{Attempt: r.Attempt, Failure: protocol.FailureWall, Note: "too slow"}
		case 2:
			r.Task = task.Digest{1}
		case 3:
			r.Inline[0] = []byte("something else")
		case 4:
			r.Attempt += 1 << 40
		}
	}
	if i%5 == 0 && len(x.Reports) > 3 { // two of them are held still, and one is lost
		x.Held = []task.AttemptID{x.Reports[0].Attempt, x.Reports[1].Attempt, 77}
		x.Reports = x.Reports[3:]
	}
	if i%9 == 8 {
		x.Facts.OS = "\x00"
	}
	e.Payload = wire.Marshal(&x)
}
