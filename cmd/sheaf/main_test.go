package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sheafgrid/sheaf/examples"
	"github.com/sheafgrid/sheaf/internal/freeport"
	"github.com/sheafgrid/sheaf/protocol"
)

// TestMain lets scripts, and the processes they start, run this test binary as
// the program itself.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sheaf": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// The scripts in testdata/script are the command line's stories: each line is
// what a person types, with what must come back. $P1 to $P8 are free ports.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			ports, err := freeport.Loopback(8)
			if err != nil {
				return err
			}
			for i, p := range ports {
				e.Setenv(fmt.Sprintf("P%d", i+1), fmt.Sprint(p))
			}
			e.Setenv("XDG_DATA_HOME", filepath.Join(e.WorkDir, "home"))
			places, err := os.ReadFile("../../client/sandbox/testdata/places.wasm")
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(e.WorkDir, "places.wasm"), places, 0o644); err != nil {
				return err
			}
			return os.CopyFS(filepath.Join(e.WorkDir, "examples"), examples.Files())
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"flip": flip, "cut": cut, "jobid": jobID, "resultroot": resultRoot, "accepted": accepted, "field": field, "appears": appears,
			"fill": fill, "atmost": atMost,
		},
	})
}

// flip changes one bit of the byte in the middle of a file.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: flip FILE")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(path, b, 0o644))
}

// fill makes a file of so many bytes, always the same ones.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: fill FILE BYTES")
	}
	size, err := strconv.Atoi(args[1])
	ts.Check(err)
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// atMost fails where the files of a folder have more bytes together.
func atMost(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: atmost DIR BYTES")
	}
	most, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	files, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	size := int64(0)
	for _, f := range files {
		info, err := f.Info()
		ts.Check(err)
		size += info.Size()
	}
	if size == 0 || size > most {
		ts.Fatalf("%d files of %s have %d bytes, want 1 to %d", len(files), args[0], size, most)
	}
}

// jobID keeps the id of the job that the last command submitted, from its last
// line, in a variable.
func jobID(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: jobid VARIABLE")
	}
	ids := regexp.MustCompile(`\b[a-z2-7]{16}\b`).FindAllString(ts.ReadFile("stdout"), -1)
	if len(ids) == 0 {
		ts.Fatalf("no job id in %q", ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], ids[len(ids)-1])
}

// cut copies the first two thirds of a file.
func cut(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: cut FROM TO")
	}
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b[:len(b)*2/3], 0o644))
}

// resultRoot keeps the result root that the last command showed.
func resultRoot(ts *testscript.TestScript, _ bool, args []string) {
	root := regexp.MustCompile(`result root +([0-9a-f]{64})`).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(args) != 1 || root == nil {
		ts.Fatalf("usage: resultroot VARIABLE, after a command that shows one; got %q", ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], root[1])
}

// accepted waits until so many tasks of a job are accepted, and fails if the job
// has ended by then.
func accepted(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: accepted JOB TASKS")
	}
	want, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	for end := time.Now().Add(time.Minute); ; {
		var j protocol.JobView
		ts.Check(ts.Exec("sheaf", "job", "show", args[0], "--json"))
		ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &j))
		switch {
		case j.State != "running" || time.Now().After(end):
			ts.Fatalf("job %s is %s, with %+v", args[0], j.State, j.Progress)
		case j.Progress != nil && j.Progress.Accepted >= want:
			return
		}
	}
}

// appears waits until a file is there that a program in the background makes.
func appears(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: appears FILE")
	}
	path := ts.MkAbs(args[0])
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		_, err := os.Stat(path)
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) || time.Now().After(end) {
			ts.Fatalf("waiting for %s: %v", args[0], err)
		}
	}
}

// field keeps a field of the JSON that the last command printed in a variable;
// with a regular expression, the part of it that matches.
func field(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: field NAME VARIABLE [REGEXP]")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &object))
	text, ok := object[args[0]].(string)
	if !ok {
		ts.Fatalf("no text %q in %v", args[0], object)
	}
	if len(args) == 3 {
		text = regexp.MustCompile(args[2]).FindString(text)
	}
	ts.Setenv(args[1], text)
}
