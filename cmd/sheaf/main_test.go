package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sheafgrid/sheaf/examples"
	"github.com/sheafgrid/sheaf/internal/freeport"
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
			return os.CopyFS(filepath.Join(e.WorkDir, "examples"), examples.Files())
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"flip": flip, "jobid": jobID, "field": field},
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
