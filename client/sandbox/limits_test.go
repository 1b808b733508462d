package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/task"
)

func TestLimitOnWork(t *testing.T) {
	q := request(t, "loop")
	q.Limits.Work = 3_000_000
	o := same(t, q)
	if o.Exit != task.ExitWorkLimit || o.Work <= q.Limits.Work || o.Work > q.Limits.Work+1000 {
		t.Errorf("%v after %d instructions, want %v just behind %d", o.Exit, o.Work, task.ExitWorkLimit, q.Limits.Work)
	}
	q = request(t, "count", "10")
	whole := run(t, runner(t), q)
	q.Limits.Work = whole.Work
	if o := run(t, runner(t), q); o.Exit != 0 {
		t.Errorf("with just enough work: %v", o.Exit)
	}
	q.Limits.Work--
	if o := run(t, runner(t), q); o.Exit != task.ExitWorkLimit {
		t.Errorf("with one instruction less: %v, want %v", o.Exit, task.ExitWorkLimit)
	}
}

func TestLimitOnOutput(t *testing.T) {
	for _, c := range []struct {
		args []string
		want task.Exit
	}{
		{[]string{"flood"}, task.ExitOutputLimit},
		{[]string{"files", "100000"}, task.ExitOutputLimit},
		{[]string{"files", strconv.Itoa(task.MaxOutputFiles)}, 0},
		{[]string{"create", "/out/a:b"}, task.ExitBadOutput},
		{[]string{"create", "/out/COM1.txt"}, task.ExitBadOutput},
		{[]string{"create", "/out/" + strings.Repeat("x", 300)}, task.ExitBadOutput},
	} {
		t.Run(fmt.Sprintf("%.30s", c.args), func(t *testing.T) {
			t.Parallel()
			if o := same(t, request(t, c.args...)); o.Exit != c.want {
				t.Errorf("got %v, want %v", o.Exit, c.want)
			}
		})
	}
}

func TestLimitOnMemory(t *testing.T) {
	q := request(t, "grow", "4000")
	q.Limits.Memory = 64 << 20
	if o := run(t, runner(t), q); output(t, o, "stdout") != "touched 63 MiB\n" {
		t.Errorf("%v: %q", o.Exit, o.Contents)
	}
}

// Each call leaves a little garbage. Were it not collected, this program would
// take more memory than its process may have.
func TestGarbageIsCollected(t *testing.T) {
	t.Parallel()
	q := request(t, "opens", "200000")
	q.Limits.Work = 10e9
	if o := run(t, runner(t), q); o.Exit != 0 {
		t.Errorf("%v: %s", o.Exit, o.Diagnostic)
	}
}

func TestLimitOnTime(t *testing.T) {
	for _, command := range []string{"loop", "sleep"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			q := request(t, command)
			q.Limits.Work, q.Limits.Wall = task.MaxWork, 300
			start := time.Now()
			o, err := runner(t).Run(t.Context(), q, nil)
			if !errors.Is(err, sandbox.ErrWallLimit) || time.Since(start) > 5*time.Second {
				t.Errorf("%v, %v after %v; want ErrWallLimit after 0.3 s", o.Exit, err, time.Since(start))
			}
		})
	}
}

// A cancelled program is gone at once, whatever it does. BenchmarkKill says
// how soon: on a busy machine a test cannot.
func TestCancelling(t *testing.T) {
	for _, args := range [][]string{{"loop"}, {"sleep"}, {"hold", "512"}} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			q := request(t, args...)
			q.Limits.Work, q.Limits.Memory = task.MaxWork, 1<<30
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("the owner is back")
			var at time.Time
			o, err := runner(t).Run(ctx, q, func(sandbox.Progress) {
				at = time.Now()
				cancel(why)
			})
			took := time.Since(at)
			if !errors.Is(err, why) {
				t.Errorf("%v, %v; want the cause of the cancellation", o.Exit, err)
			}
			if t.Logf("gone after %v", took); took > 2*time.Second {
				t.Errorf("it took %v to end it", took)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := runner(t).Run(ctx, request(t, "loop"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before it began: %v", err)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	q := request(t, "loop")
	q.Limits.Work = 20e9
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []sandbox.Progress
	_, _ = runner(t).Run(ctx, q, func(p sandbox.Progress) {
		if seen = append(seen, p); len(seen) == 2 {
			cancel()
		}
	})
	if len(seen) < 2 || seen[0].Work != 0 || seen[1].Work == 0 || seen[1].CPU <= seen[0].CPU {
		t.Errorf("saw %+v; want signs of life that move", seen)
	}
}

func TestBadPrograms(t *testing.T) {
	whole := module(t, "guest")
	programs := map[string][]byte{
		"empty": nil, "text": []byte("#!/bin/sh\n"), "half": whole[:len(whole)/2], "no magic": whole[4:],
		"more": append(whole[:len(whole):len(whole)], 0xff),
	}
	for _, name := range []string{"import", "unknown", "signature", "start", "nothing", "memory", "data"} {
		programs[name] = module(t, "bad/"+name)
	}
	for name, module := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := request(t)
			q.Module = module
			if name == "memory" {
				q.Limits.Memory = task.MaxMemory - task.WasmPage
			}
			_, err := runner(t).Run(t.Context(), q, nil)
			if !errors.Is(err, sandbox.ErrBadProgram) {
				t.Fatalf("got %v, want ErrBadProgram", err)
			}
			t.Log(err)
		})
	}
	q := request(t)
	q.Meter = 9999
	if _, err := runner(t).Run(t.Context(), q, nil); !errors.Is(err, sandbox.ErrMeter) {
		t.Errorf("an unknown meter: %v, want ErrMeter", err)
	}
}

func TestBadRequests(t *testing.T) {
	for name, change := range map[string]func(q *sandbox.Request){
		"no work": func(q *sandbox.Request) { q.Limits.Work = 0 }, "odd memory": func(q *sandbox.Request) { q.Limits.Memory = 1000 },
		"much memory": func(q *sandbox.Request) { q.Limits.Memory = task.MaxMemory * 2 }, "no time": func(q *sandbox.Request) { q.Limits.Wall = 0 },
		"much output":  func(q *sandbox.Request) { q.Limits.Output = task.MaxOutput + 1 },
		"much module":  func(q *sandbox.Request) { q.Module = make([]byte, sandbox.MaxModule+1) },
		"arguments":    func(q *sandbox.Request) { q.Args = make([]string, task.MaxArgs+1) },
		"argument":     func(q *sandbox.Request) { q.Args = []string{strings.Repeat("x", task.MaxArgBytes+1)} },
		"inputs":       func(q *sandbox.Request) { q.Inputs = make([]sandbox.InputFile, sandbox.MaxInputs+1) },
		"input":        func(q *sandbox.Request) { q.Inputs[0].Size = sandbox.MaxInputBytes + 1 },
		"size":         func(q *sandbox.Request) { q.Inputs[0].Size = -1 },
		"twice":        func(q *sandbox.Request) { q.Inputs[0].Path = "a" },
		"climbs":       func(q *sandbox.Request) { q.Inputs[0].Path = "../b" },
		"under a file": func(q *sandbox.Request) { q.Inputs[0].Path = "a/b" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := request(t)
			change(&q)
			if _, err := runner(t).Run(t.Context(), q, nil); !errors.Is(err, sandbox.ErrBadRequest) {
				t.Errorf("got %v, want ErrBadRequest", err)
			}
		})
	}
}

// failing is an input that breaks in the middle.
type failing struct{}

func (failing) ReadAt(b []byte, at int64) (int, error) {
	if at >= 1<<20 {
		return 0, errors.New("bad sector")
	}
	return len(b), nil
}

func TestInputsThatFail(t *testing.T) {
	q := request(t, "loop")
	q.Inputs[0].Content, q.Inputs[0].Size = failing{}, 100<<20
	if _, err := runner(t).Run(t.Context(), q, nil); !errors.Is(err, sandbox.ErrInput) || !strings.Contains(err.Error(), "bad sector") {
		t.Errorf("got %v, want ErrInput", err)
	}
	q = request(t, "loop")
	q.Inputs[0].Size++
	if _, err := runner(t).Run(t.Context(), q, nil); !errors.Is(err, sandbox.ErrInput) {
		t.Errorf("an input that is too short: %v, want ErrInput", err)
	}
}

// A large input arrives whole.
func TestLargeInput(t *testing.T) {
	q := request(t, "read")
	content := strings.Repeat("a line of sixteen\n", 1<<20)
	q.Inputs = append(q.Inputs, file("large", content))
	if o := run(t, runner(t), q); !strings.Contains(output(t, o, "stdout"), fmt.Sprintf("large type 0 size %d", len(content))) {
		t.Errorf("%v: %q", o.Exit, o.Contents)
	}
}

func TestOutputsGoWhereTheyAreAskedFor(t *testing.T) {
	q := request(t, "write")
	kept := run(t, runner(t), q)
	var names []string
	var text strings.Builder
	q.Output = func(name string, size int64) (io.Writer, error) {
		names = append(names, fmt.Sprint(name, size))
		return &text, nil
	}
	o, err := runner(t).Run(t.Context(), q, nil)
	if err != nil || o.Contents != nil || len(names) != len(kept.Outputs) {
		t.Fatalf("%v, %d contents, outputs %q", err, len(o.Contents), names)
	}
	var want strings.Builder
	for i, f := range kept.Outputs {
		want.Write(kept.Contents[i])
		if names[i] != fmt.Sprint(f.Name, f.Size) || o.Outputs[i] != f {
			t.Errorf("output %q, want %q", names[i], f.Name)
		}
	}
	if text.String() != want.String() {
		t.Error("other bytes arrived")
	}
	full := errors.New("disk full")
	q.Output = func(string, int64) (io.Writer, error) { return nil, full }
	if _, err := runner(t).Run(t.Context(), q, nil); !errors.Is(err, full) {
		t.Errorf("got %v, want the writer's error", err)
	}
}
