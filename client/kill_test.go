package client_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// What a child of these tests is to be: a sandbox, or an agent that computes
// with a fake one.
const (
	childSandbox = "sandbox-child"
	childAgent   = "SHEAF_CLIENT_TEST_AGENT"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childSandbox {
		os.Exit(sandbox.ChildMain(os.Stdin, os.Stdout))
	}
	if url := os.Getenv(childAgent); url != "" {
		config := realConfig(os.Getenv("DIR"), url, &fakeSandbox{})
		config.Observe = func(e client.Event) { fmt.Println(e.Kind, e.Attempt) }
		fmt.Println("ended:", runAgent(context.Background(), config))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// realConfig is for an agent over a real connection.
func realConfig(dir, url string, s client.Sandbox) client.Config {
	return client.Config{
		Dir: dir, URLs: []string{url}, Version: "test", Sandbox: s, Trail: filepath.Join(dir, "trail"),
		Rules: plan.Rules{Cores: 2, Memory: 1 << 30, AllowAll: true}, Sense: func() plan.Machine { return plan.Machine{Cores: 2} },
		Random: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.DiscardHandler),
	}
}

func runAgent(ctx context.Context, config client.Config) error {
	a, err := client.Open(config)
	if err != nil {
		return err
	}
	defer a.Close()
	return a.Run(ctx)
}

// kill -9 at each of the moments that matter, and at random ones: nothing that
// was accepted is lost, nothing computed is computed again once it was recorded,
// and a request on its way goes out again with the same bytes.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a run without -short: it starts and kills processes")
	}
	c := newCoordinator(t)
	c.after, c.next = 50, 200
	server := httptest.NewServer(c)
	defer server.Close()
	program := c.blob([]byte("module"))
	dir := t.TempDir()
	for round, moment := range []string{"accepted", "started", "computed", "acknowledged", "computed", "enrolled", "computed", "acknowledged", "accepted"} {
		for i := range 3 {
			c.task(program, nil, "say", "10ms", fmt.Sprint(round, i))
		}
		// Between the record of a result and its acknowledgement: the answer to
		// the exchange that reports it never comes.
		c.mu.Lock()
		c.lose = func(e *protocol.Envelope) bool {
			var x protocol.Exchange
			return moment == "computed" && e.Purpose == protocol.PurposeExchange && e.Decode(&x) == nil && len(x.Reports) > 0
		}
		c.mu.Unlock()
		killAt(t, dir, server.URL, moment, round%3)
	}
	c.mu.Lock()
	c.lose = nil
	last := c.frames[len(c.frames)-1]
	before := len(c.frames)
	c.mu.Unlock()
	finish(t, c, dir, server.URL, last, before)
}

// killAt runs an agent until it speaks of a moment, and kills it.
func killAt(t *testing.T, dir, url, moment string, skip int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childAgent+"="+url, "DIR="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	giveUp := time.AfterFunc(2*time.Second, func() { _ = child.Process.Kill() }) // the moment may not come
	defer giveUp.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var kind string
		var id uint64
		_, _ = fmt.Sscan(lines.Text(), &kind, &id)
		if kind == "ended:" {
			t.Errorf("the agent %s", lines.Text())
		}
		if kind == moment {
			if skip == 0 {
				_ = child.Process.Kill()
			}
			skip--
		}
	}
	_ = child.Wait() // killed
}

// finish lets an agent end what the killed ones left, and compares.
func finish(t *testing.T, c *coordinator, dir, url string, last []byte, before int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	a, err := client.Open(realConfig(dir, url, &fakeSandbox{}))
	if err != nil {
		t.Fatal(err)
	}
	rules := a.Rules()
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	c.wait(ctx, func() bool { return len(c.waitingTasks()) == 0 })
	rules.Finishing = true
	if err := a.SetRules(rules); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || ctx.Err() != nil {
		t.Fatalf("%v, %v", err, ctx.Err())
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.reports) != len(c.given) || len(c.open) != 0 || len(c.lost) != 0 || len(c.given) != 27 {
		t.Errorf("%d tasks given, %d reported, still out %v, lost %v", len(c.given), len(c.reports), c.open, c.lost)
	}
	var e *protocol.Envelope
	if e, err = protocol.OpenEnvelope(last, cluster); err != nil {
		t.Fatal(err)
	}
	for _, f := range c.frames[before:] {
		if again, err := protocol.OpenEnvelope(f, cluster); err == nil && again.Session == e.Session && again.Number == e.Number && !bytes.Equal(f, last) {
			t.Errorf("R2: request %d was repeated with other bytes", e.Number)
		}
	}
	compareTrail(t, c, readTrail(t, filepath.Join(dir, "trail")))
}

// compareTrail wants each report that the coordinator has in the trail, as it
// was, and nothing else.
func compareTrail(t *testing.T, c *coordinator, trail map[task.AttemptID]string) {
	t.Helper()
	var ids []task.AttemptID
	for id := range c.reports {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		r := c.reports[id]
		if want := fmt.Sprintf("accepted done %s ", task.Sum(r.Outputs)); trail[id] != want {
			t.Errorf("attempt %d: the trail says %q, want %q", id, trail[id], want)
		}
		delete(trail, id)
	}
	if len(trail) > 0 {
		t.Errorf("the trail speaks of reports that the coordinator does not have: %v", trail)
	}
}

func (c *coordinator) lostAttempts() []task.AttemptID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

func (c *coordinator) waitingTasks() []protocol.Attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting
}

// With the sandbox as volunteers have it: a program that reads and writes, one
// that leaves a large output, one that traps, one that is too slow.
func TestRealSandbox(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a run without -short: it starts and kills processes")
	}
	module, err := os.ReadFile("sandbox/testdata/guest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := newCoordinator(t)
	c.after, c.next = 20, 200
	server := httptest.NewServer(http.HandlerFunc(c.ServeHTTP))
	defer server.Close()
	program := c.blob(module)
	file := c.blob([]byte("one\ntwo\nthree\n"))
	read := c.task(program, func(a *protocol.Attempt) {
		a.Task.Inputs = []task.InputRange{{Path: "b.txt", Blob: file, Length: 14, Digest: file}}
		sign(a)
	}, "read")
	write := c.task(program, nil, "write")
	trap := c.task(program, nil, "abort")
	slow := c.task(program, func(a *protocol.Attempt) {
		a.Task.Limits.Wall, a.Task.Limits.Work = 1000, task.MaxWork
		sign(a)
	}, "loop")
	count := c.task(program, nil, "count", "1000000")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- runAgent(ctx, realConfig(t.TempDir(), server.URL, sandbox.Runner{Command: []string{self, childSandbox, t.Name()}}))
	}()
	for _, id := range []task.AttemptID{read, write, trap, slow, count} {
		waiting, end := context.WithTimeout(ctx, 20*time.Second)
		ok := c.wait(waiting, func() bool { return c.reported(id) != nil })
		end()
		if !ok {
			t.Fatalf("attempt %d is not reported", id)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := c.stdout(read); !bytes.HasPrefix([]byte(got), []byte("line one\nline two\nline three\n")) {
		t.Errorf("the program that reads says %q", got)
	}
	if r := c.reported(write); r.Exit != 0 || r.Failure != 0 || len(r.Inline) != 0 {
		t.Errorf("the program that writes 200 KB: exit %v, %v, %d outputs inside", r.Exit, r.Failure, len(r.Inline))
	}
	if r := c.reported(trap); r.Exit != task.ExitUnreachable || r.Work == 0 {
		t.Errorf("the program that traps: exit %v, work %d", r.Exit, r.Work)
	}
	if r := c.reported(slow); r.Failure != protocol.FailureWall {
		t.Errorf("the program that is too slow: %v %q", r.Failure, r.Note)
	}
	if got := c.stdout(count); len(got) != 17 {
		t.Errorf("the program that counts says %q", got)
	}
}
