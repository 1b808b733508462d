package client_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// A machine on which everything fails rests, longer and longer, and takes up
// work again by itself.
func TestRestsWhenTasksFail(t *testing.T) {
	story(t, func(w *world) {
		w.c.next = 60_000
		for range 200 {
			w.c.task(w.program, nil, "die", "1s")
		}
		w.start()
		w.until("it rests", func() bool { return w.happened(client.EventTrouble) == 1 })
		s := w.agent.Status()
		if s.Reason.Code != plan.CodeTrouble || !strings.Contains(s.Reason.Text, "the sandbox process died") {
			t.Errorf("status %+v", s.Reason)
		}
		time.Sleep(2 * time.Hour)
		if n := len(w.ran()); n > 60 {
			t.Errorf("%d tasks failed in two hours", n)
		}
		w.c.mu.Lock()
		w.c.waiting = nil
		w.c.mu.Unlock()
		id := w.c.task(w.program, nil, "say", "1s", "well again")
		w.untilReported(id)
	})
}

// The disk fails under a task and under a download: nothing is reported, the
// machine rests, and goes on when the disk does.
func TestDiskFails(t *testing.T) {
	for folder, args := range map[string][]string{"outputs": {"large", "1s"}, "cache": {"say", "1s", "x"}} {
		story(t, func(w *world) {
			w.c.next = 30_000
			w.start()
			w.until("it is enrolled", func() bool { return w.happened(client.EventEnrolled) == 1 })
			path := filepath.Join(w.dir, folder)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			id := w.c.task(w.program, nil, args...)
			w.until("it rests", func() bool { return w.happened(client.EventTrouble) == 1 })
			if s := w.agent.Status(); s.Reason.Code != plan.CodeTrouble || !strings.Contains(s.Reason.Text, "disk") || len(s.Tasks) != 1 {
				t.Errorf("status %+v", s)
			}
			time.Sleep(time.Hour / 2)
			if w.c.reported(id) != nil {
				t.Errorf("%s: it was reported", folder)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
			w.untilReported(id)
			if r := w.c.reported(id); r.Failure != 0 {
				t.Errorf("%s: %v %q", folder, r.Failure, r.Note)
			}
		})
	}
}

// Failures between which tasks are computed are no trouble of the machine,
// even while no coordinator has acknowledged any of it.
func TestFailuresNotInARow(t *testing.T) {
	story(t, func(w *world) {
		w.change = func(c *client.Config) { c.Rules.Cores = 4 }
		w.c.after = 60_000
		for i := range 8 {
			w.c.task(w.program, nil, []string{"die", "say"}[i%2], fmt.Sprint(i+1, "s"), "x")
		}
		w.start()
		w.until("all have ended", func() bool {
			return w.happened(client.EventComputed) == 4 && w.happened(client.EventFailed) == 4
		})
		if n := w.happened(client.EventTrouble); n != 0 || w.agent.Status().Counts.Acknowledged != 0 {
			t.Errorf("it rests %d times; acknowledged are %d reports", n, w.agent.Status().Counts.Acknowledged)
		}
	})
}

// A coordinator that refuses every result says that something is wrong here.
func TestRestsWhenResultsAreRefused(t *testing.T) {
	story(t, func(w *world) {
		w.c.refuse = func(*protocol.Report) protocol.Ack { return protocol.AckRefused }
		for range 50 {
			w.c.task(w.program, nil, "say", "1s", "x")
		}
		w.start()
		w.until("it rests", func() bool { return w.happened(client.EventTrouble) == 1 })
		if s := w.agent.Status(); !strings.Contains(s.Reason.Text, "refuses") || s.Counts.Refused < 4 {
			t.Errorf("status %+v", s)
		}
	})
}

// A coordinator that answers nonsense is not believed, and asked again later.
func TestNonsense(t *testing.T) {
	for name, reply := range map[string]*protocol.Reply{
		"a confirmation of an exchange": {Done: &protocol.Done{}},
		"too few acknowledgements":      {Exchange: &protocol.ExchangeReply{}},
		"too many of them":              {Exchange: &protocol.ExchangeReply{Acks: []protocol.Ack{1, 1, 1}}},
	} {
		story(t, func(w *world) {
			id := w.c.task(w.program, nil, "say", "1s", "x")
			times := 0
			w.c.before = func(rw http.ResponseWriter, e *protocol.Envelope) bool {
				var x protocol.Exchange
				if e.Purpose != protocol.PurposeExchange || e.Decode(&x) != nil || len(x.Reports) == 0 || times == 3 {
					return false
				}
				times++
				answer(rw, reply.Encode())
				return true
			}
			w.start()
			w.untilReported(id)
			if times != 3 || w.c.stdout(id) != "x" {
				t.Errorf("%s: %d times, then %q", name, times, w.c.stdout(id))
			}
		})
	}
}

// Attempts that are given twice, under no number, or unasked for do no harm.
func TestOddAttempts(t *testing.T) {
	story(t, func(w *world) {
		id := w.c.task(w.program, nil, "say", "1s", "x")
		w.c.mu.Lock()
		zero := w.c.waiting[0]
		zero.ID = 0
		w.c.waiting = append(w.c.waiting, w.c.waiting[0], zero)
		w.c.mu.Unlock()
		w.start()
		w.untilReported(id)
		w.until("nothing is held", func() bool { return len(w.agent.Status().Tasks) == 0 })
		if len(w.ran()) != 1 {
			t.Errorf("%d runs, want 1", len(w.ran()))
		}
	})
}

// Many results after a long outage are reported in exchanges that each fit.
func TestManyReports(t *testing.T) {
	story(t, func(w *world) {
		w.change = func(c *client.Config) { c.Rules.Cores = 8 }
		var ids []task.AttemptID
		for i := range 40 {
			ids = append(ids, w.c.task(w.program, nil, "say", "100ms", fmt.Sprint(i), strings.Repeat("x", 32_000)))
		}
		w.start()
		w.until("many are held", func() bool { return len(w.agent.Status().Tasks) >= 14 })
		w.net.cut("a:80")
		time.Sleep(10 * time.Second)
		w.net.serve("a:80", w.c)
		w.untilReported(ids...)
		for _, f := range w.frames() {
			if len(f) > 2<<20 {
				t.Errorf("an exchange of %d bytes", len(f))
			}
		}
	})
}

// The trail holds each acknowledged report once, over restarts too.
func TestTrail(t *testing.T) {
	trail := filepath.Join(t.TempDir(), "trail.ndjson")
	story(t, func(w *world) {
		w.change = func(c *client.Config) { c.Trail = trail }
		first, second := w.c.task(w.program, nil, "say", "1s", "x"), w.c.task(w.program, nil, "die", "1s")
		w.start()
		w.untilReported(first, second)
		w.until("both are acknowledged", func() bool { return w.happened(client.EventAcknowledged) == 2 })
		w.stop()
		// The last line was cut short by a crash.
		f, err := os.OpenFile(trail, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"job":"a4aaa`); err != nil {
			t.Fatal(err)
		}
		f.Close()
		third := w.c.task(w.program, nil, "say", "1s", "z")
		w.start()
		w.untilReported(third)
		w.until("it is acknowledged", func() bool { return w.happened(client.EventAcknowledged) == 3 })
		w.stop()
		want := map[task.AttemptID]string{
			first:  "accepted done " + task.Sum(w.c.reported(first).Outputs).String() + " ",
			second: "accepted done " + task.Digest{}.String() + " engine failed",
			third:  "accepted done " + task.Sum(w.c.reported(third).Outputs).String() + " ",
		}
		if got := readTrail(t, trail); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func readTrail(t *testing.T, path string) map[task.AttemptID]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := map[task.AttemptID]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l struct {
			Job     task.JobID
			Level   uint8
			Index   uint64
			Attempt task.AttemptID
			Output  task.Digest
			Exit    task.Exit
			Failure string
			Ack     string
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if _, twice := got[l.Attempt]; twice || l.Index != uint64(l.Attempt) || l.Job.IsZero() {
			t.Errorf("the line %q stands twice, or is about another task", lines.Text())
		}
		got[l.Attempt] = l.Ack + " " + l.Exit.String() + " " + l.Output.String() + " " + l.Failure
	}
	return got
}

// A liar's results are well-formed and wrong, about the share that it was told.
func TestLies(t *testing.T) {
	story(t, func(w *world) {
		w.net.serve("127.0.0.1:7", w.c)
		w.c.members = []protocol.Member{{Node: "a", URL: "http://127.0.0.1:7"}, {Node: "b", URL: "http://elsewhere"}}
		w.change = func(c *client.Config) {
			c.URLs, c.Lie, c.Rules.Cores = []string{"http://127.0.0.1:7"}, &client.Lie{Seed: 4, Percent: 30}, 8
		}
		var ids []task.AttemptID
		for range 200 {
			ids = append(ids, w.c.task(w.program, nil, "say", "1s", "the truth"))
		}
		large := w.c.task(w.program, nil, "large", "1s")
		w.start()
		w.untilReported(append(ids, large)...)
		lies := 0
		for _, id := range ids {
			switch got := w.c.stdout(id); got {
			case "the truth":
			default:
				t.Errorf("standard output is %q: the lie belongs into the first output", got)
			}
			r := w.c.reported(id)
			if string(r.Inline[0]) == "the truti" {
				lies++
			}
		}
		if lies < 40 || lies > 80 {
			t.Errorf("%d lies about 200 tasks, want about 60", lies)
		}
		if m := w.agent.Status().Members; len(m) != 1 {
			t.Errorf("members %v, want none on another machine", m)
		}
	})
}

// A lie about a large output, whose file is changed.
func TestLargeLie(t *testing.T) {
	story(t, func(w *world) {
		w.net.serve("127.0.0.1:7", w.c)
		w.change = func(c *client.Config) { c.URLs, c.Lie = []string{"http://127.0.0.1:7"}, &client.Lie{Percent: 100} }
		id := w.c.task(w.program, nil, "large", "1s")
		empty := w.c.task(w.program, nil, "nothing", "1s")
		w.start()
		w.untilReported(id, empty)
		list, err := task.DecodeOutputList(w.c.reported(id).Outputs)
		if err != nil || len(list) != 2 || list[0].Digest == list[1].Digest {
			t.Errorf("two outputs, one of them wrong: %+v, %v", list, err)
		}
	})
}

// The largest report fits into an exchange by itself.
func TestReportsFitTheirEnvelope(t *testing.T) {
	r := protocol.Report{Attempt: 1, Inline: make([][]byte, task.MaxOutputFiles+2), Outputs: make([]byte, 310_000)}
	r.Inline[0] = make([]byte, protocol.MaxInline)
	if n := len(wire.Marshal(r)); n > protocol.MaxEnvelope/2 {
		t.Errorf("the largest report has %d bytes", n)
	}
}
