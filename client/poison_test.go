package client_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/client"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// A report that no coordinator accepts must not hold up the others for ever.
func TestPoisonedReport(t *testing.T) {
	story(t, func(w *world) {
		var ids []task.AttemptID
		for i := range 6 {
			ids = append(ids, w.c.task(w.program, nil, "say", "1s", fmt.Sprint(i)))
		}
		poison := ids[2]
		w.c.before = func(rw http.ResponseWriter, e *protocol.Envelope) bool {
			var x protocol.Exchange
			if e.Purpose != protocol.PurposeExchange || e.Decode(&x) != nil {
				return false
			}
			for _, r := range x.Reports {
				if r.Attempt == poison && r.Failure == protocol.FailureNone {
					answer(rw, w.c.consume(e, protocol.Refuse(protocol.CodeInvalid, "I do not like it")))
					return true
				}
			}
			return false
		}
		w.start()
		w.untilReported(ids...)
		for _, id := range ids {
			r := w.c.reported(id)
			if failed := r.Failure == protocol.FailureAbandoned && strings.Contains(r.Note, "I do not like it"); failed != (id == poison) {
				t.Errorf("attempt %d: %v %q", id, r.Failure, r.Note)
			}
		}
		if len(w.c.lostAttempts()) != 0 {
			t.Errorf("lost attempts %v", w.c.lostAttempts())
		}
	})
}

// The bad one among many reports is found by halves.
func TestPoisonAmongMany(t *testing.T) {
	story(t, func(w *world) {
		w.change = func(c *client.Config) {
			c.Rules.Cores = 32
			c.Sense = func() plan.Machine { return plan.Machine{Cores: 32} }
		}
		var ids []task.AttemptID
		for i := range 64 {
			ids = append(ids, w.c.task(w.program, nil, "say", "1s", fmt.Sprint(i)))
		}
		w.start()
		w.until("all are accepted", func() bool { return w.happened(client.EventAccepted) == 64 })
		w.net.cut("a:80")
		w.until("all are computed", func() bool { return w.happened(client.EventComputed) == 64 })
		refused := 0
		w.c.before = func(rw http.ResponseWriter, e *protocol.Envelope) bool {
			var x protocol.Exchange
			if e.Purpose != protocol.PurposeExchange || e.Decode(&x) != nil {
				return false
			}
			for _, r := range x.Reports {
				if r.Attempt == ids[63] && r.Failure == protocol.FailureNone {
					refused++
					answer(rw, w.c.consume(e, protocol.Refuse(protocol.CodeInvalid, "I do not like it")))
					return true
				}
			}
			return false
		}
		w.net.serve("a:80", w.c)
		w.untilReported(ids...)
		if refused > 20 {
			t.Errorf("it took %d refusals to find one of 64", refused)
		}
	})
}

// consume refuses a request as Apply does: its number is used up.
func (c *coordinator) consume(e *protocol.Envelope, no *protocol.Error) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	reply := (&protocol.Reply{Error: no}).Encode()
	c.sessions[e.Session].last, c.sessions[e.Session].sum, c.sessions[e.Session].reply = e.Number, e.Sum(), reply
	return reply
}
