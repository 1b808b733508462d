package client_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Short tasks are asked for, and reported, many at a time, and the cores are
// busy nearly all of the time.
func TestShortTasks(t *testing.T) {
	story(t, func(w *world) {
		var ids []task.AttemptID
		for range 500 {
			ids = append(ids, w.c.task(w.program, nil, "say", "20ms", "x"))
		}
		w.start()
		began := time.Now()
		w.until("all are acknowledged", func() bool { return w.agent.Status().Counts.Acknowledged == 500 })
		if d := time.Since(began); d > 6500*time.Millisecond { // 5 s of work for two cores
			t.Errorf("it took %v", d)
		}
		if n := w.c.exchanges; n > 40 {
			t.Errorf("%d exchanges for %d tasks", n, len(ids))
		}
	})
}

// With enough to do a report waits for others, but not for longer than a second.
func TestReportIsNotHeldBack(t *testing.T) {
	story(t, func(w *world) {
		w.c.next = 600_000
		w.change = func(c *client.Config) { c.Rules.Cores = 3 }
		for i := range 6 {
			w.c.task(w.program, nil, "say", fmt.Sprint(10+10*i, "s"), "x")
		}
		w.start()
		w.until("one is computed", func() bool { return w.happened(client.EventComputed) == 1 })
		time.Sleep(500 * time.Millisecond)
		if n := w.agent.Status().Counts.Acknowledged; n != 0 {
			t.Errorf("%d results were reported at once, each by itself", n)
		}
		time.Sleep(600 * time.Millisecond)
		if n := w.agent.Status().Counts.Acknowledged; n != 1 {
			t.Errorf("%d results are acknowledged after more than a second, want 1", n)
		}
	})
}

// What was computed when an error ended the run is kept.
func TestResultAfterAnError(t *testing.T) {
	story(t, func(w *world) {
		w.sandbox.deaf = true
		w.c.next = 5000
		id := w.c.task(w.program, nil, "say", "10s", "x")
		w.start()
		w.until("it runs", func() bool { return w.running() == 1 })
		w.c.mu.Lock()
		w.c.before = func(rw http.ResponseWriter, _ *protocol.Envelope) bool {
			answer(rw, refusal(protocol.CodeVersion, "update this program"))
			return true
		}
		w.c.mu.Unlock()
		if err := w.ended(); !protocol.HasCode(err, protocol.CodeVersion) {
			t.Fatalf("it ended with %v", err)
		}
		w.c.before = nil
		w.start()
		w.untilReported(id)
		if n := len(w.ran()); n != 1 {
			t.Errorf("it was computed %d times", n)
		}
	})
}

// A coordinator that has not heard of the attempt yet does not take its output;
// a moment later it does.
func TestOutputIsRefusedAtFirst(t *testing.T) {
	story(t, func(w *world) {
		refused := 0
		w.net.serve("a:80", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, protocol.PathOutputs) && refused < 2 {
				refused++
				fail(rw, protocol.Refuse(protocol.CodeNotAllowed, "no such attempt"))
				return
			}
			w.c.ServeHTTP(rw, r)
		}))
		id := w.c.task(w.program, nil, "large", "1s")
		w.start()
		w.untilReported(id)
		if r := w.c.reported(id); r.Failure != 0 || refused != 2 {
			t.Errorf("after %d refusals it was reported as %v %q", refused, r.Failure, r.Note)
		}
	})
}

// An output that cannot be read for a while is delivered later; one that is
// gone is given back.
func TestOutputCannotBeRead(t *testing.T) {
	for name, gone := range map[string]bool{"for a while": false, "ever again": true} {
		story(t, func(w *world) {
			id := w.c.task(w.program, nil, "large", "10s")
			w.start()
			w.until("it runs", func() bool { return w.running() == 1 })
			w.net.cut("a:80")
			w.until("it is computed", func() bool { return w.happened(client.EventComputed) == 1 })
			w.stop()
			files, err := filepath.Glob(filepath.Join(w.dir, "outputs", "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%s: outputs %q, %v", name, files, err)
			}
			aside := filepath.Join(w.dir, "aside")
			if err := os.Rename(files[0], aside); err != nil {
				t.Fatal(err)
			}
			if !gone { // to read a folder fails
				if err := os.Mkdir(files[0], 0o700); err != nil {
					t.Fatal(err)
				}
			}
			w.net.serve("a:80", w.c)
			w.start()
			if !gone {
				w.until("it rests", func() bool { return w.agent.Status().Reason.Code == plan.CodeTrouble })
				time.Sleep(2 * time.Minute)
				if w.c.reported(id) != nil {
					t.Errorf("%s: it was reported", name)
				}
				if err := os.Remove(files[0]); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(aside, files[0]); err != nil {
					t.Fatal(err)
				}
			}
			w.untilReported(id)
			if r := w.c.reported(id); (r.Failure == protocol.FailureAbandoned) != gone || len(w.ran()) != 1 {
				t.Errorf("%s: reported as %v %q after %d runs", name, r.Failure, r.Note, len(w.ran()))
			}
		})
	}
}
