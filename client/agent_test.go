package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/client"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/task"
)

// fakeSandbox runs what args[0] names, in the time that args[1] says.
type fakeSandbox struct {
	mu      sync.Mutex
	ran     []string // "module: args"
	running int
	most    int
	deaf    bool // goes on when it is told to stop
}

func (s *fakeSandbox) Run(ctx context.Context, q sandbox.Request, onProgress func(sandbox.Progress)) (sandbox.Outcome, error) {
	s.mu.Lock()
	s.ran = append(s.ran, string(q.Module)+": "+strings.Join(q.Args, " "))
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running--
		s.mu.Unlock()
	}()
	onProgress(sandbox.Progress{CPU: time.Second, Work: 5})
	d := time.Second
	if len(q.Args) > 1 {
		d, _ = time.ParseDuration(q.Args[1])
	}
	stop := ctx.Done()
	if s.deaf {
		stop = nil
	}
	select {
	case <-stop:
		return sandbox.Outcome{}, fmt.Errorf("sandbox: %w", context.Cause(ctx))
	case <-time.After(d):
	}
	return s.outcome(ctx, q)
}

func (s *fakeSandbox) outcome(ctx context.Context, q sandbox.Request) (sandbox.Outcome, error) {
	text := ""
	switch q.Args[0] {
	case "say":
		text = strings.Join(q.Args[2:], " ")
	case "read":
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for _, in := range q.Inputs {
			if in.Piece != nil {
				b := make([]byte, in.Size)
				if err := in.Piece(ctx, 0, b); err != nil {
					return sandbox.Outcome{}, fmt.Errorf("%w: %w", sandbox.ErrInput, err)
				}
				text += in.Path + "=" + string(b) + ";"
				continue
			}
			b, err := io.ReadAll(io.NewSectionReader(in.Content, 0, in.Size+1))
			if err != nil || int64(len(b)) != in.Size {
				return sandbox.Outcome{}, fmt.Errorf("%w: %s", sandbox.ErrInput, in.Path)
			}
			text += in.Path + "=" + string(b) + ";"
		}
	case "large":
		text = strings.Repeat("large output ", 20_000)
	case "trap":
		return sandbox.Outcome{Exit: task.ExitUnreachable, Work: 3, Diagnostic: "oh\x1bno"}, nil
	case "die":
		return sandbox.Outcome{}, sandbox.ErrChildDied
	case "slow":
		return sandbox.Outcome{}, fmt.Errorf("sandbox: %w", sandbox.ErrWallLimit)
	case "bad":
		return sandbox.Outcome{}, sandbox.ErrBadProgram
	}
	o := sandbox.Outcome{Work: 7}
	for _, f := range []struct{ name, text string }{{"out/copy", text}, {"stdout", text}} {
		if text == "" {
			continue
		}
		w, err := q.Output(f.name, int64(len(f.text)))
		if err == nil {
			_, err = io.WriteString(w, f.text)
		}
		if err != nil {
			return sandbox.Outcome{}, fmt.Errorf("output: %w", err)
		}
		o.Outputs = append(o.Outputs, task.OutputFile{Name: f.name, Size: int64(len(f.text)), Digest: task.Sum([]byte(f.text))})
	}
	return o, nil
}

// world is an agent, its coordinator, and what is between them.
type world struct {
	t       *testing.T
	net     *network
	c       *coordinator
	sandbox *fakeSandbox
	dir     string
	program task.Digest
	change  func(*client.Config)

	agent  *client.Agent
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	events []client.Event
}

// story tells one in a bubble, where time costs nothing.
func story(t *testing.T, tell func(*world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: newNetwork(), c: newCoordinator(t), sandbox: &fakeSandbox{}, dir: dir}
		w.net.serve("a:80", w.c)
		w.program = w.c.blob([]byte("module"))
		defer w.net.close()
		tell(w)
		if w.agent != nil {
			w.stop()
		}
	})
}

func (w *world) config() client.Config {
	c := client.Config{
		Dir: w.dir, URLs: []string{"http://a"}, PlainHTTP: true, Version: "test", Sandbox: w.sandbox, Transport: w.net.own,
		Rules:  plan.Rules{Cores: 2, Memory: 1 << 30, AllowAll: true},
		Sense:  func() plan.Machine { return plan.Machine{Cores: 8} },
		Random: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.DiscardHandler),
		Observe: func(e client.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	}
	if w.change != nil {
		w.change(&c)
	}
	return c
}

// start opens an agent and runs it.
func (w *world) start() {
	w.t.Helper()
	a, err := client.Open(w.config())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	w.agent, w.cancel, w.done = a, cancel, make(chan error, 1)
	go func() { w.done <- a.Run(ctx) }()
}

// stop is Ctrl-C.
func (w *world) stop() {
	w.t.Helper()
	w.cancel()
	if err := w.ended(); err != nil {
		w.t.Errorf("it ended with %v", err)
	}
}

// ended waits for Run, and closes the agent.
func (w *world) ended() error {
	w.t.Helper()
	err := <-w.done
	if e := w.agent.Close(); e != nil {
		w.t.Error(e)
	}
	w.agent = nil
	if w.running() != 0 {
		w.t.Errorf("%d tasks run after Run has returned", w.running())
	}
	return err
}

// until waits until something holds, in the bubble's time.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for range 30_000 {
		if synctest.Wait(); ok() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("waited in vain until %s; status %+v", what, w.agent.Status())
}

func (w *world) untilReported(ids ...task.AttemptID) {
	w.t.Helper()
	for _, id := range ids {
		w.until(fmt.Sprintf("attempt %d is reported", id), func() bool { return w.c.reported(id) != nil })
	}
}

func (w *world) happened(kind client.EventKind) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// running is how many tasks run, and ran what ran.
func (w *world) running() int {
	w.sandbox.mu.Lock()
	defer w.sandbox.mu.Unlock()
	return w.sandbox.running
}

func (w *world) ran() []string {
	w.sandbox.mu.Lock()
	defer w.sandbox.mu.Unlock()
	return w.sandbox.ran
}

func (w *world) frames() [][]byte {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.c.frames
}

func TestEnrolsAndComputes(t *testing.T) {
	story(t, func(w *world) {
		var ids []task.AttemptID
		for i := range 20 {
			ids = append(ids, w.c.task(w.program, nil, "say", "1s", fmt.Sprint("number ", i)))
		}
		w.start()
		w.untilReported(ids...)
		for i, id := range ids {
			if got, want := w.c.stdout(id), fmt.Sprint("number ", i); got != want {
				t.Errorf("attempt %d returned %q, want %q", id, got, want)
			}
		}
		if w.sandbox.most != 2 {
			t.Errorf("%d tasks ran at once, want 2", w.sandbox.most)
		}
		w.until("all is acknowledged", func() bool { return w.agent.Status().Counts.Acknowledged == 20 })
		s := w.agent.Status()
		if len(s.Tasks) != 0 || s.Cluster != cluster || !s.Enrolled || s.Reason.Code != plan.CodeNoWork || s.Counts.Computed != 20 {
			t.Errorf("status %+v", s)
		}
		if len(w.c.enrolled) != 1 || len(w.c.sessions) != 1 || len(w.c.lostAttempts()) != 0 {
			t.Errorf("%d enrolments in %d sessions, lost attempts %v", len(w.c.enrolled), len(w.c.sessions), w.c.lostAttempts())
		}
		for kind, want := range map[client.EventKind]int{
			client.EventEnrolled: 1, client.EventAccepted: 20, client.EventStarted: 20, client.EventComputed: 20, client.EventAcknowledged: 20, client.EventFailed: 0,
		} {
			if got := w.happened(kind); got != want {
				t.Errorf("%d events %s, want %d", got, kind, want)
			}
		}
	})
}

// A machine that is started again is the same to the cluster.
func TestSecondStart(t *testing.T) {
	story(t, func(w *world) {
		w.c.task(w.program, nil, "say", "1s", "x")
		w.start()
		w.untilReported(1)
		w.stop()
		w.c.task(w.program, nil, "say", "1s", "x")
		w.start()
		w.untilReported(2)
		if len(w.c.enrolled) != 1 || len(w.c.sessions) != 1 {
			t.Errorf("%d enrolments, %d sessions, want 1 and 1", len(w.c.enrolled), len(w.c.sessions))
		}
	})
}

func TestStatusOfRunningTasks(t *testing.T) {
	story(t, func(w *world) {
		for range 3 {
			w.c.task(w.program, nil, "say", "1m", "x")
		}
		w.start()
		time.Sleep(10 * time.Second)
		s := w.agent.Status()
		if len(s.Tasks) != 3 || s.Reason.Text != "It computes 2 tasks." {
			t.Fatalf("status %+v", s)
		}
		running := 0
		for _, task := range s.Tasks {
			if task.Stage == plan.StageRunning {
				running++
				if task.CPU != time.Second || task.Work != 5 || task.Running < 5*time.Second || task.Project != "primes" {
					t.Errorf("a running task: %+v", task)
				}
			} else if task.Stage != plan.StageReady || task.Reason.Code != plan.CodeWaiting {
				t.Errorf("a waiting task: %+v", task)
			}
		}
		if running != 2 {
			t.Errorf("%d tasks run, want 2", running)
		}
	})
}

func TestSecondAgentIsRefused(t *testing.T) {
	story(t, func(w *world) {
		w.start()
		w.until("it is enrolled", func() bool { return w.happened(client.EventEnrolled) == 1 })
		second, err := client.Open(w.config())
		if second != nil {
			t.Error("an agent that cannot be used was returned")
		}
		if !errors.Is(err, client.ErrInUse) || !strings.Contains(err.Error(), w.dir) || !strings.Contains(err.Error(), "folder of its own") {
			t.Errorf("got %v, want ErrInUse, the folder, and what to do", err)
		}
		if err := w.agent.Run(t.Context()); err == nil {
			t.Error("it runs twice")
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(*client.Config){
		"no folder":          func(c *client.Config) { c.Dir = "" },
		"no sandbox":         func(c *client.Config) { c.Sandbox = nil },
		"no logger":          func(c *client.Config) { c.Logger = nil },
		"no randomness":      func(c *client.Config) { c.Random = nil },
		"a negative cache":   func(c *client.Config) { c.CacheBytes = -1 },
		"impossible rules":   func(c *client.Config) { c.Rules.Cores = -1 },
		"an endless name":    func(c *client.Config) { c.HostName = strings.Repeat("x", 65) },
		"a name with a bell": func(c *client.Config) { c.AccountName = "a\ab" },
		"lies to others":     func(c *client.Config) { c.Lie = &client.Lie{Percent: 10} },
		"lies to one of both": func(c *client.Config) {
			c.URLs = []string{"http://127.0.0.1:1", "http://a"}
			c.Lie = &client.Lie{Percent: 10}
		},
		"lies to nobody":       func(c *client.Config) { c.URLs = nil; c.Lie = &client.Lie{Percent: 10} },
		"more lies than tasks": func(c *client.Config) { c.URLs = []string{"http://127.0.0.1:1"}; c.Lie = &client.Lie{Percent: 101} },
	} {
		w := &world{t: t, net: newNetwork(), sandbox: &fakeSandbox{}, dir: t.TempDir(), change: change}
		if a, err := client.Open(w.config()); !errors.Is(err, client.ErrBadConfig) {
			t.Errorf("%s: got %v, %v, want ErrBadConfig", name, a, err)
		}
	}
}
