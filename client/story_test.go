package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// R2: an answer that is lost is asked for with the same bytes.
func TestLostAnswer(t *testing.T) {
	story(t, func(w *world) {
		var ids []task.AttemptID
		for i := range 6 {
			ids = append(ids, w.c.task(w.program, nil, "say", "1s", fmt.Sprint(i)))
		}
		n := 0
		w.c.lose = func(*protocol.Envelope) bool { n++; return n%3 != 0 } // two of three answers
		w.start()
		w.untilReported(ids...)
		w.until("all is acknowledged", func() bool { return w.agent.Status().Counts.Acknowledged == 6 })
		seen := map[uint64][]byte{}
		for _, f := range w.frames() {
			e, err := protocol.OpenEnvelope(f, cluster)
			if err != nil {
				t.Fatal(err)
			}
			if before, ok := seen[e.Number]; ok && !bytes.Equal(before, f) {
				t.Errorf("request %d was repeated with other bytes", e.Number)
			}
			seen[e.Number] = f
		}
		if len(w.frames()) < 2*len(seen) || len(w.c.lostAttempts()) != 0 || len(w.ran()) != 6 {
			t.Errorf("%d frames of %d requests, lost attempts %v, %d runs", len(w.frames()), len(seen), w.c.lostAttempts(), len(w.ran()))
		}
	})
}

// The program ends with a request on its way: at the next start the same bytes
// go out before anything else.
func TestStoppedWithARequestOnItsWay(t *testing.T) {
	story(t, func(w *world) {
		id := w.c.task(w.program, nil, "say", "1s", "x")
		w.start()
		w.until("it runs", func() bool { return w.happened(client.EventStarted) == 1 })
		w.c.mu.Lock()
		w.c.lose = func(e *protocol.Envelope) bool { return e.Purpose == protocol.PurposeExchange }
		w.c.mu.Unlock()
		w.untilReported(id)
		frames := w.frames()
		last := frames[len(frames)-1]
		w.stop()
		w.c.lose = nil
		before := len(w.frames())
		w.start()
		w.until("it is acknowledged", func() bool { return w.agent.Status().Counts.Acknowledged == 1 })
		if again := w.frames()[before]; !bytes.Equal(again, last) {
			t.Error("the first request after the start has other bytes than the last before it")
		}
		if len(w.ran()) != 1 {
			t.Errorf("it ran %d times", len(w.ran()))
		}
	})
}

func TestInputsAreFetched(t *testing.T) {
	story(t, func(w *world) {
		file := []byte("zero one two three")
		blob := w.c.blob(file)
		id := w.c.task(w.program, func(a *protocol.Attempt) {
			a.Task.Inputs = []task.InputRange{
				{Path: "a", Blob: blob, Length: 18, Digest: blob},
				{Path: "b", Blob: blob, Offset: 5, Length: 3, Digest: task.Sum([]byte("one"))},
				{Path: "c", Blob: blob, Offset: 9, Digest: task.EmptyDigest},
			}
			sign(a)
		}, "read", "1s")
		w.start()
		w.untilReported(id)
		if got, want := w.c.stdout(id), "a=zero one two three;b=one;c=;"; got != want {
			t.Errorf("it read %q, want %q", got, want)
		}
	})
}

func TestOutcomes(t *testing.T) {
	for what, want := range map[string]struct {
		failure protocol.Failure
		exit    task.Exit
	}{
		"trap": {protocol.FailureNone, task.ExitUnreachable}, "die": {failure: protocol.FailureEngine},
		"slow": {failure: protocol.FailureWall}, "bad": {failure: protocol.FailureProgram}, "nothing": {},
	} {
		story(t, func(w *world) {
			id := w.c.task(w.program, nil, what, "1s")
			w.start()
			w.untilReported(id)
			if r := w.c.reported(id); r.Failure != want.failure || r.Exit != want.exit {
				t.Errorf("%s: reported %v, exit %v; want %v, %v", what, r.Failure, r.Exit, want.failure, want.exit)
			}
		})
	}
}

// A large output is uploaded, with its list, before its report is sent, and
// its files are gone when the report is acknowledged.
func TestLargeOutput(t *testing.T) {
	story(t, func(w *world) {
		first, second := w.c.task(w.program, nil, "large", "1s"), w.c.task(w.program, nil, "large", "2s")
		w.start()
		w.untilReported(first, second)
		w.until("both are acknowledged", func() bool { return w.agent.Status().Counts.Acknowledged == 2 })
		if got := len(w.c.stdout(second)); got != 260_000 {
			t.Errorf("%d bytes arrived, want 260000", got)
		}
		if left, err := os.ReadDir(filepath.Join(w.dir, "outputs")); err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

// The network is away while an output waits: it survives a restart.
func TestLargeOutputAcrossARestart(t *testing.T) {
	story(t, func(w *world) {
		id := w.c.task(w.program, nil, "large", "10s")
		w.start()
		w.until("it runs", func() bool { return w.happened(client.EventStarted) == 1 })
		w.net.cut("a:80")
		w.until("it is computed", func() bool { return w.happened(client.EventComputed) == 1 })
		time.Sleep(time.Minute)
		w.stop()
		w.net.serve("a:80", w.c)
		w.start()
		w.untilReported(id)
		if len(w.c.stdout(id)) != 260_000 || len(w.ran()) != 1 {
			t.Errorf("%d bytes arrived after %d runs", len(w.c.stdout(id)), len(w.ran()))
		}
	})
}

// A job is cancelled while its tasks run, wait, and are computed.
func TestCancel(t *testing.T) {
	story(t, func(w *world) {
		for range 4 {
			w.c.task(w.program, nil, "say", "1h", "x")
		}
		w.start()
		w.until("two run", func() bool { return w.happened(client.EventStarted) == 2 })
		w.c.mu.Lock()
		w.c.cancel = []task.AttemptID{1, 3}
		w.c.mu.Unlock()
		w.until("two are forgotten", func() bool { return w.happened(client.EventForgotten) == 2 })
		w.until("the others run", func() bool { return w.running() == 2 })
		if s := w.agent.Status(); len(s.Tasks) != 2 || s.Tasks[0].Attempt != 2 || s.Tasks[1].Attempt != 4 || w.running() != 2 {
			t.Errorf("held: %+v, %d run", s.Tasks, w.running())
		}
	})
}

// Ctrl-C stops what runs; it goes on at the next start.
func TestGoesOnAfterAStop(t *testing.T) {
	story(t, func(w *world) {
		ids := []task.AttemptID{w.c.task(w.program, nil, "say", "1m", "x"), w.c.task(w.program, nil, "say", "1m", "y"), w.c.task(w.program, nil, "say", "1m", "z")}
		w.start()
		time.Sleep(30 * time.Second)
		began := time.Now()
		w.stop()
		if d := time.Since(began); d > time.Second {
			t.Errorf("it took %v to stop", d)
		}
		if w.c.reported(1) != nil {
			t.Error("a task that was stopped is reported")
		}
		w.start()
		w.untilReported(ids...)
		if len(w.ran()) != 5 || len(w.c.lostAttempts()) != 0 {
			t.Errorf("%d runs, want 5; lost attempts %v", len(w.ran()), w.c.lostAttempts())
		}
	})
}

// Pause means paused; results are delivered all the same.
func TestPauseAndResume(t *testing.T) {
	story(t, func(w *world) {
		long, short := w.c.task(w.program, nil, "say", "15m", "x"), w.c.task(w.program, nil, "say", "20s", "y")
		w.start()
		w.until("both run", func() bool { return w.happened(client.EventStarted) == 2 })
		rules := w.agent.Rules()
		w.net.cut("a:80")
		w.until("one is computed", func() bool { return w.happened(client.EventComputed) == 1 })
		rules.Paused = true
		if err := w.agent.SetRules(rules); err != nil {
			t.Fatal(err)
		}
		w.until("nothing runs", func() bool { return w.running() == 0 })
		w.net.serve("a:80", w.c)
		w.untilReported(short)
		if s := w.agent.Status(); s.Reason.Code != plan.CodePaused || s.Tasks[0].Reason.Code != plan.CodePaused {
			t.Errorf("status %+v", s)
		}
		third := w.c.task(w.program, nil, "say", "1s", "z")
		time.Sleep(5 * time.Minute)
		if w.running() != 0 || len(w.c.waitingTasks()) != 1 {
			t.Error("it computes, or takes work, while paused")
		}
		rules.Paused = false
		if err := w.agent.SetRules(rules); err != nil {
			t.Fatal(err)
		}
		w.untilReported(third, long)
	})
}

func TestFinishing(t *testing.T) {
	story(t, func(w *world) {
		for range 10 {
			w.c.task(w.program, nil, "say", "1m", "x")
		}
		w.start()
		w.until("two run", func() bool { return w.running() == 2 })
		rules := w.agent.Rules()
		rules.Finishing = true
		if err := w.agent.SetRules(rules); err != nil {
			t.Fatal(err)
		}
		if err := w.ended(); err != nil {
			t.Fatal(err)
		}
		if n := len(w.c.reports); n != 4 || len(w.c.waitingTasks()) != 6 || len(w.c.open) != 0 {
			t.Errorf("%d reports, %d never taken, %d still out; want 4, 6, 0", n, len(w.c.waitingTasks()), len(w.c.open))
		}
	})
}

// The coordinators are away for hours, before and after tasks are accepted.
func TestCoordinatorIsAway(t *testing.T) {
	story(t, func(w *world) {
		w.net.cut("a:80")
		w.start()
		time.Sleep(3 * time.Hour)
		if s := w.agent.Status(); s.Reason.Code != plan.CodeNoContact || !strings.Contains(s.Reason.Text, "http://a") {
			t.Errorf("status %+v", s)
		}
		var ids []task.AttemptID
		for range 4 {
			ids = append(ids, w.c.task(w.program, nil, "say", "1m", "x"))
		}
		w.net.serve("a:80", w.c)
		w.until("two run", func() bool { return w.running() == 2 })
		w.net.cut("a:80")
		w.until("all are computed", func() bool { return w.happened(client.EventComputed) == 4 })
		time.Sleep(30 * time.Minute)
		w.net.serve("a:80", w.c)
		w.untilReported(ids...)
		if len(w.c.lostAttempts()) != 0 {
			t.Errorf("lost attempts %v", w.c.lostAttempts())
		}
	})
}

// A machine that was off for longer than a task may take does not begin it.
func TestOverdueAtTheNextStart(t *testing.T) {
	story(t, func(w *world) {
		w.c.task(w.program, nil, "say", "10m", "x")
		w.start()
		w.until("it runs", func() bool { return w.running() == 1 })
		w.stop()
		time.Sleep(2 * time.Hour)
		w.start()
		w.until("it is forgotten", func() bool { return w.happened(client.EventForgotten) == 1 })
		if n := len(w.ran()); n != 1 {
			t.Errorf("%d runs, want 1", n)
		}
	})
}

// A task whose deadline passes while it waits is not begun.
func TestOverdueIsNotBegun(t *testing.T) {
	story(t, func(w *world) {
		w.change = func(c *client.Config) { c.Rules.Cores = 1 }
		w.c.task(w.program, func(a *protocol.Attempt) { a.DeadlineMillis = 50_000 }, "say", "10m", "x")
		w.c.task(w.program, func(a *protocol.Attempt) { a.DeadlineMillis = 60_000 }, "say", "1s", "y")
		w.start()
		w.untilReported(1)
		if w.happened(client.EventForgotten) != 1 || len(w.ran()) != 1 {
			t.Errorf("%d forgotten, %d runs", w.happened(client.EventForgotten), len(w.ran()))
		}
	})
}

// The cluster has forgotten the session, the host, or both.
func TestForgottenByTheCluster(t *testing.T) {
	for name, forget := range map[string]func(*coordinator){
		"the session": func(c *coordinator) { clear(c.sessions) },
		"the host":    func(c *coordinator) { clear(c.enrolled) },
		"both":        func(c *coordinator) { clear(c.sessions); clear(c.enrolled) },
	} {
		story(t, func(w *world) {
			w.c.next = 600_000
			id := w.c.task(w.program, nil, "say", "150m", "x")
			w.start()
			w.until("it runs", func() bool { return w.running() == 1 })
			time.Sleep(2 * time.Hour)
			w.c.mu.Lock()
			forget(w.c)
			w.c.mu.Unlock()
			w.untilReported(id)
			if got := w.c.stdout(id); got != "x" || len(w.ran()) != 1 {
				t.Errorf("%s: it returned %q after %d runs", name, got, len(w.ran()))
			}
			if w.happened(client.EventSession)+w.happened(client.EventEnrolled) < 3 {
				t.Errorf("%s: %d sessions, %d enrolments", name, w.happened(client.EventSession), w.happened(client.EventEnrolled))
			}
		})
	}
}

// Refusals that waiting does not mend end the agent, with what to do.
func TestRefusalsThatEndIt(t *testing.T) {
	for code, want := range map[protocol.Code]string{
		protocol.CodeReusedNumber: "move journal.db away", protocol.CodeAlreadyDone: "move journal.db away", protocol.CodeVersion: "the text",
		protocol.CodeBadSignature: "the text", protocol.CodeInvalid: "the text", protocol.CodeNotAllowed: "the text", protocol.CodeConflict: "the text",
	} {
		story(t, func(w *world) {
			w.c.before = func(rw http.ResponseWriter, _ *protocol.Envelope) bool {
				answer(rw, refusal(code, "the text"))
				return true
			}
			w.start()
			if err := w.ended(); err == nil || !strings.Contains(err.Error(), want) || !protocol.HasCode(err, code) {
				t.Errorf("code %d: got %v, want it and %q", code, err, want)
			}
		})
	}
}

// A data folder that was copied is noticed.
func TestClonedFolder(t *testing.T) {
	story(t, func(w *world) {
		w.c.task(w.program, nil, "say", "1s", "x")
		w.start()
		w.untilReported(1)
		w.until("it is acknowledged", func() bool { return w.agent.Status().Counts.Acknowledged == 1 })
		w.stop()
		original, clone := w.dir, t.TempDir()
		if err := os.CopyFS(clone, os.DirFS(w.dir)); err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{"account.key", "host.key"} {
			if err := os.Chmod(filepath.Join(clone, k), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		w.start()
		time.Sleep(time.Minute)
		w.stop()
		w.dir = clone
		w.start()
		if err := w.ended(); err == nil || !strings.Contains(err.Error(), "copied") {
			t.Errorf("the copy: got %v", err)
		}
		w.dir = original
		w.start()
		time.Sleep(time.Minute)
	})
}

func TestWrongAddressEndsTheFirstStart(t *testing.T) {
	story(t, func(w *world) {
		w.net.serve("a:80", http.NotFoundHandler())
		w.start()
		if err := w.ended(); !errors.Is(err, remote.ErrNotCoordinator) {
			t.Errorf("got %v, want ErrNotCoordinator", err)
		}
		// Later it is only an outage.
		w.net.cut("a:80")
		w.net.serve("a:80", w.c)
		w.start()
		w.until("it is enrolled", func() bool { return w.happened(client.EventEnrolled) == 1 })
		w.stop()
		w.net.cut("a:80")
		w.net.serve("a:80", http.NotFoundHandler())
		w.start()
		time.Sleep(time.Hour)
		w.net.cut("a:80")
		w.net.serve("a:80", w.c)
		id := w.c.task(w.program, nil, "say", "1s", "x")
		w.untilReported(id)
	})
}
