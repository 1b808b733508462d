package sandbox

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/task"
)

func testRequest(t *testing.T, args ...string) *Request {
	t.Helper()
	module, err := os.ReadFile("testdata/guest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return &Request{
		Module: module, Meter: 1, Args: args,
		Limits: task.Limits{Work: task.MaxWork, Memory: 1 << 20, Output: 1 << 20, Wall: 20_000},
	}
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Whatever a child answers, its parent says what was wrong and goes on.
func TestChildrenThatLie(t *testing.T) {
	want := map[string]error{
		"nothing": ErrChildDied, "cut short": ErrChildDied, "less than said": ErrChildDied, "a crash": ErrChildDied,
		"too much memory": ErrChildDied, "endless progress": ErrWallLimit,
	}
	for name := range fakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := testRequest(t, "loop")
			q.Limits.Wall = 2000
			if name == "endless progress" {
				q.Limits.Wall = 200
			}
			if want[name] == nil {
				want := ErrBadReply
				_, err := Runner{Command: []string{self(t), "sandbox-fake", name}}.Run(t.Context(), *q, nil)
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
				return
			}
			o, err := Runner{Command: []string{self(t), "sandbox-fake", name}}.Run(t.Context(), *q, nil)
			if !errors.Is(err, want[name]) {
				t.Errorf("got %v, %.500v; want %v", o.Exit, err, want[name])
			}
		})
	}
}

func TestADeadChildSaysWhy(t *testing.T) {
	_, err := Runner{Command: []string{self(t), "sandbox-fake", "a crash"}}.Run(t.Context(), *testRequest(t), nil)
	text := err.Error()
	if !strings.Contains(text, "exit status 2") || !strings.Contains(text, "panic: long") || !strings.Contains(text, "goroutine 1") {
		t.Errorf("the error does not say how the child ended: %.300s", text)
	}
	if len(text) > stderrFirst+stderrTail+500 || strings.ContainsRune(text, '\x1b') {
		t.Errorf("an error of %d bytes, control characters: %v", len(text), strings.ContainsRune(text, '\x1b'))
	}
	if _, err := (Runner{Command: []string{"/no/such/program"}}).Run(t.Context(), *testRequest(t), nil); err == nil {
		t.Error("a program that is not there was started")
	}
	if _, err := (Runner{}).Run(t.Context(), *testRequest(t), nil); err == nil {
		t.Error("a runner without a command ran")
	}
}

// Without its parent a child has nobody to work for. Here the end of standard
// input is all that it can notice.
func TestAChildEndsWithItsInput(t *testing.T) {
	p, err := startProcess([]string{self(t), "sandbox-child", t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.end()
	if err := send(p, testRequest(t, "loop"), EngineCompiler); err != nil {
		t.Fatal(err)
	}
	var buffer []byte
	if kind, _, err := readReply(p.replies, &buffer); kind != frameProgress || err != nil {
		t.Fatalf("got %q, %v; want progress", byte(kind), err)
	}
	if err := p.requests.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, p.replies); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		t.Error("the child goes on")
	}
}

// hanging is an input on a disk that does not answer.
type hanging struct{ released chan struct{} }

func (h hanging) ReadAt([]byte, int64) (int, error) {
	<-h.released
	return 0, io.EOF
}

func TestAnInputThatHangsHoldsNobody(t *testing.T) {
	t.Parallel()
	h := hanging{make(chan struct{})}
	defer close(h.released)
	q := testRequest(t)
	q.Inputs = []InputFile{{Path: "a", Size: 1, Content: h}}
	q.Limits.Wall = 100
	if _, err := (Runner{Command: []string{self(t), "sandbox-child", t.Name()}}).Run(t.Context(), *q, nil); !errors.Is(err, ErrWallLimit) {
		t.Errorf("got %v, want ErrWallLimit", err)
	}
}

func TestARequestThatNeverComes(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing": nil, "half a frame": {byte(frameRequest), 0, 0, 1, 0, 7}, "garbage": []byte(strings.Repeat("garbage", 10)),
		"another kind": framed(frameProgress, make([]byte, 16)), "empty": framed(frameRequest, nil),
	} {
		p, err := startProcess([]string{self(t), "sandbox-child", t.Name()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.requests.Write(b); err != nil {
			t.Fatal(err)
		}
		_ = p.requests.Close()
		if _, err := receiveOutcome(p.replies, &Request{}, newFeed(&Request{}), nil); !errors.Is(err, ErrEngine) && !errors.Is(err, ErrBadRequest) {
			t.Errorf("%s: got %v", name, err)
		}
		p.end()
	}
}

func TestManyAtATime(t *testing.T) {
	failed := make(chan error)
	for i := range 8 {
		go func() {
			r := Runner{Command: []string{self(t), "sandbox-child", t.Name()}}
			o, err := r.Run(context.Background(), *testRequest(t, "exit", string(rune('0'+i))), nil)
			if err == nil && o.Exit != task.Exit(i) {
				err = errors.New(o.Exit.String())
			}
			failed <- err
		}()
	}
	for range 8 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
