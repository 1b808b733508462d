package sandbox_test

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/task"
)

var update = flag.Bool("update", false, "write what programs print to testdata/golden")

// runner runs programs in the test binary. A token of its own tells each
// test's children from others.
func runner(t testing.TB) sandbox.Runner {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return sandbox.Runner{Command: []string{self, "sandbox-child", t.Name()}}
}

func module(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func file(path, content string) sandbox.InputFile {
	return sandbox.InputFile{Path: path, Size: int64(len(content)), Content: strings.NewReader(content)}
}

// request runs a command of testdata/guest.c.
func request(t testing.TB, args ...string) sandbox.Request {
	t.Helper()
	return sandbox.Request{
		Module: module(t, "guest"), Meter: 1, Args: args,
		Inputs: []sandbox.InputFile{file("b.txt", "one\ntwo\nthree\n"), file("sub/c", "c"), file("a", ""), file("sub/a", "12")},
		Limits: task.Limits{Work: 1e9, Memory: 1 << 20, Output: 1 << 20, Wall: 20_000},
		Seed:   42,
	}
}

func run(t *testing.T, r sandbox.Runner, q sandbox.Request) sandbox.Outcome {
	t.Helper()
	o, err := r.Run(t.Context(), q, nil)
	if err != nil {
		t.Fatalf("%v: %v", r.Engine, err)
	}
	if err := o.Outputs.Check(); err != nil {
		t.Error(err)
	}
	if o.CPU <= 0 {
		t.Errorf("the process took %v", o.CPU)
	}
	for i, f := range o.Outputs {
		if got := task.Sum(o.Contents[i]); got != f.Digest || int64(len(o.Contents[i])) != f.Size {
			t.Errorf("%s: %d bytes with digest %s, want %d with %s", f.Name, len(o.Contents[i]), got, f.Size, f.Digest)
		}
	}
	o.CPU = 0
	return o
}

// same runs a program on the compiler and on the interpreter, and wants the
// same outcome. In short tests, as under the race detector, once is enough.
func same(t *testing.T, q sandbox.Request) sandbox.Outcome {
	t.Helper()
	r := runner(t)
	first := run(t, r, q)
	if !testing.Short() {
		r.Engine = sandbox.EngineInterpreter
		if again := run(t, r, q); !reflect.DeepEqual(first, again) {
			t.Errorf("%v: got %+v\nthe compiler's was %+v", r.Engine, again, first)
		}
	}
	return first
}

// output is the content of one output.
func output(t *testing.T, o sandbox.Outcome, name string) string {
	t.Helper()
	for i, f := range o.Outputs {
		if f.Name == name {
			return string(o.Contents[i])
		}
	}
	return ""
}

// golden compares what a program printed with what is on record. Results that
// were accepted depend on it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestWhatAProgramSees(t *testing.T) {
	for _, command := range []string{"surroundings", "read", "write", "tricks"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			q := request(t, command, "", "zwölf äpfel")
			o := same(t, q)
			if again := run(t, runner(t), q); !reflect.DeepEqual(o, again) {
				t.Errorf("the second time: %+v, first %+v", again, o)
			}
			if o.Exit != 0 || o.Work == 0 {
				t.Errorf("%v after %d instructions: %s", o.Exit, o.Work, o.Diagnostic)
			}
			golden(t, command, output(t, o, "stdout"))
		})
	}
}

func TestWhatAProgramLeaves(t *testing.T) {
	o := run(t, runner(t), request(t, "write"))
	want := map[string]string{
		"out/folder/deep/a.txt": "first\nsecond\n", "out/folder/new": "renamed\n",
		"out/sparse": strings.Repeat("\x00", 200_000) + "en", "stderr": "to stderr\n", "stdout": output(t, o, "stdout"),
	}
	for i, f := range o.Outputs {
		if string(o.Contents[i]) != want[f.Name] {
			t.Errorf("%s holds %.100q, want %.100q", f.Name, o.Contents[i], want[f.Name])
		}
		delete(want, f.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
	if o.Diagnostic != "to stderr\n" {
		t.Errorf("diagnostic %q", o.Diagnostic)
	}
}

func TestSeedDecidesRandomBytesAlone(t *testing.T) {
	q := request(t, "surroundings")
	one := run(t, runner(t), q)
	q.Seed++
	two := run(t, runner(t), q)
	a, b := strings.Split(output(t, one, "stdout"), "\n"), strings.Split(output(t, two, "stdout"), "\n")
	for i := range a {
		if different := a[i] != b[i]; different != strings.HasPrefix(a[i], "random") {
			t.Errorf("under another seed %q became %q", a[i], b[i])
		}
	}
}

func TestExits(t *testing.T) {
	for code, want := range map[string]task.Exit{"0": 0, "1": 1, "63": 63, "64": task.ExitBadCode, "255": task.ExitBadCode, "-1": task.ExitBadCode} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			if o := same(t, request(t, "exit", code)); o.Exit != want || len(o.Outputs) != 0 {
				t.Errorf("got %v with %d outputs, want %v", o.Exit, len(o.Outputs), want)
			}
		})
	}
}

func TestTraps(t *testing.T) {
	for name, want := range map[string]task.Exit{
		"unreachable": task.ExitUnreachable, "memory": task.ExitMemoryBounds, "fill": task.ExitMemoryBounds,
		"divide": task.ExitDivideByZero, "remainder": task.ExitDivideByZero, "overflow": task.ExitIntOverflow,
		"convert": task.ExitIntOverflow, "nan": task.ExitIntOverflow, "table": task.ExitTableBounds, "null": task.ExitTableBounds,
		"type": task.ExitIndirectType,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := request(t)
			q.Module = module(t, "traps/"+name)
			if o := same(t, q); o.Exit != want {
				t.Errorf("got %v, want %v", o.Exit, want)
			}
		})
	}
}

func TestATrapLeavesADiagnosticAndNothingElse(t *testing.T) {
	o := same(t, request(t, "abort"))
	want := sandbox.Outcome{Exit: task.ExitUnreachable, Work: o.Work, Diagnostic: "about to abort\n"}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v, want %+v", o, want)
	}
}

func TestDeepRecursion(t *testing.T) {
	if o := same(t, request(t, "nest", "1000")); output(t, o, "stdout") != "1000\n" {
		t.Errorf("a thousand calls deep: %v, %q", o.Exit, o.Contents)
	}
	q := request(t)
	q.Module = module(t, "traps/stack")
	q.Limits.Work = task.MaxWork
	r := runner(t)
	if o := run(t, r, q); o.Exit != task.ExitStackOverflow {
		t.Errorf("without end: %v, want %v", o.Exit, task.ExitStackOverflow)
	}
	r.Engine = sandbox.EngineInterpreter
	if o, err := r.Run(t.Context(), q, nil); !errors.Is(err, sandbox.ErrEngine) {
		t.Errorf("beyond the interpreter: %v, %v; want ErrEngine", o.Exit, err)
	}
}

func TestGoProgram(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a run without -short: it builds a program")
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "hello.wasm")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", path, "./testdata/gohello")
	build.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	q := request(t, "one", "two")
	var err error
	if q.Module, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	q.Limits.Work, q.Limits.Memory = 50e9, 64<<20
	r := runner(t)
	o := run(t, r, q)
	golden(t, "go", output(t, o, "stdout")+output(t, o, "stderr"))
	if got, want := output(t, o, "out/all"), "part 3\npart 2\npart 1\npart 0\n"; got != want || o.Exit != 0 {
		t.Errorf("%v, out/all holds %q, want %q", o.Exit, got, want)
	}
	if again := run(t, r, q); !reflect.DeepEqual(o, again) {
		t.Errorf("the second time: %+v, first %+v", again, o)
	}
}
