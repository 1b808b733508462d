package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/wasm"
)

type taskCommand struct {
	Run taskRunCommand `cmd:"" help:"Run a program once, in the same sandbox as a volunteer's."`
}

type taskRunCommand struct {
	Program string        `arg:"" help:"The program: a WebAssembly module." placeholder:"PROGRAM.wasm"`
	Args    []string      `arg:"" optional:"" help:"Its arguments, after --." passthrough:""`
	In      string        `help:"Folder whose files the program finds under /in." placeholder:"DIR"`
	Out     string        `help:"Folder for what it leaves under /out; standard output and error are printed." placeholder:"DIR"`
	Seed    uint64        `help:"From which everything random in it is made." default:"0"`
	Work    workFlag      `help:"Limit on counted instructions, such as 20M or 1G. Default: 1T." default:"1T" placeholder:"N"`
	Memory  sizeFlag      `help:"Limit on its memory, in MiB or with a unit, such as 64MiB. Default: 1024." default:"1024" placeholder:"SIZE"`
	Output  sizeFlag      `help:"Limit on its outputs, in MiB or with a unit, such as 10kB. Default: 64." default:"64" placeholder:"SIZE"`
	Wall    time.Duration `help:"Limit on time." default:"1h"`
}

// Help is printed below the flags.
func (*taskRunCommand) Help() string {
	return `Example:

    sheaf task run examples/primes/count.wasm -- 0 1000000

The program sees nothing of this machine: only its arguments, the files under /in, and what it writes. The exit code is 0 when it ended with 0, otherwise 1; what it did is in the last line, or with --json in one object.`
}

// taskResult is what --json prints.
type taskResult struct {
	OK      bool            `json:"ok"`
	Exit    task.Exit       `json:"exit"`
	Ended   string          `json:"ended"`
	Work    uint64          `json:"work"`
	Output  task.Digest     `json:"output"`
	Files   task.OutputList `json:"files"`
	Seconds float64         `json:"seconds"`
	Stdout  string          `json:"stdout,omitempty"`
	Stderr  string          `json:"stderr,omitempty"`
	Engine  string          `json:"engine"`
}

// Run runs the program.
func (c *taskRunCommand) Run(a *app) error {
	if err := c.arguments(); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return err
	}
	module, err := loadProgram(c.Program, uint64(c.Memory))
	if err != nil {
		return err
	}
	q := sandbox.Request{
		Module: module, Meter: wasm.CurrentMeter, Args: c.Args, Seed: c.Seed,
		Limits: task.Limits{
			Work: uint64(c.Work), Memory: uint64(c.Memory), Output: uint64(c.Output),
			Wall: task.Millis(c.Wall.Milliseconds()), Deadline: task.MaxDeadline,
		},
	}
	if c.In != "" {
		inputs, closeAll, err := folderInputs(c.In)
		if err != nil {
			return err
		}
		defer closeAll()
		q.Inputs = inputs
	}
	command, err := childCommand()
	if err != nil {
		return err
	}
	began := time.Now()
	o, err := sandbox.Runner{Command: command}.Run(a.ctx, q, nil)
	if err != nil {
		return c.explain(err)
	}
	return c.show(a, o, time.Since(began))
}

// taskRunFlags are what may have been meant by a word that looks like a flag.
var taskRunFlags = []string{"--in", "--out", "--seed", "--work", "--memory", "--output", "--wall", "--json", "--help"}

// arguments takes the -- away from before the program's arguments. Without it,
// what looks like a flag was hardly meant for the program.
func (c *taskRunCommand) arguments() error {
	if len(c.Args) > 0 && c.Args[0] == "--" {
		c.Args = c.Args[1:]
		return nil
	}
	for _, word := range c.Args {
		name, _, _ := strings.Cut(word, "=")
		if len(name) < 2 || name[0] != '-' || name[1] >= '0' && name[1] <= '9' || name[1] == '.' {
			continue
		}
		meant := ""
		if known := publisher.Nearest(name, taskRunFlags); known == name {
			meant = "flags come before them; "
		} else if known != "" {
			meant = "did you mean " + known + "? "
		}
		return failure{fmt.Errorf("%q is among the program's arguments; %s(arguments of the program come after --)", name, meant), exitUsage}
	}
	return nil
}

// check refuses limits that no task may have.
func (c *taskRunCommand) check() error {
	if c.Work == 0 || uint64(c.Work) > task.MaxWork {
		return failure{fmt.Errorf("--work %d: want 1 to %d instructions", c.Work, task.MaxWork), exitUsage}
	}
	if most := time.Duration(task.MaxDeadline) * time.Millisecond; c.Wall < time.Millisecond || c.Wall > most {
		return failure{fmt.Errorf("--wall %s: want 1ms to %.0fh", c.Wall, most.Hours()), exitUsage}
	}
	if uint64(c.Output) > task.MaxOutput {
		return failure{fmt.Errorf("--output %s: want 0 to %d MiB", c.Output, task.MaxOutput>>20), exitUsage}
	}
	return c.Memory.checkMemory()
}

// explain adds what to do about a run that gave no result.
func (c *taskRunCommand) explain(err error) error {
	switch {
	case errors.Is(err, sandbox.ErrBadProgram):
		return fmt.Errorf("%s cannot be run by volunteers: %w", c.Program, err)
	case errors.Is(err, sandbox.ErrWallLimit):
		return fmt.Errorf("%s ran longer than %s; give it more with --wall, or split its work", c.Program, durationText(c.Wall))
	}
	return err
}

func (c *taskRunCommand) show(a *app, o sandbox.Outcome, took time.Duration) error {
	r := taskResult{
		OK: o.Exit == 0, Exit: o.Exit, Ended: o.Exit.String(), Work: o.Work, Output: o.Outputs.Digest(),
		Files: o.Outputs, Seconds: took.Round(time.Millisecond).Seconds(), Engine: "wazero", Stderr: o.Diagnostic,
	}
	for i, f := range o.Outputs {
		switch f.Name {
		case task.OutputStdout:
			r.Stdout = string(o.Contents[i])
		case task.OutputStderr:
			r.Stderr = string(o.Contents[i])
		default:
			if c.Out == "" {
				continue
			}
			path := filepath.Join(c.Out, filepath.FromSlash(f.Name[len(task.OutputDir):]))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return fmt.Errorf("output: %w", err)
			}
			if err := fsutil.WriteFileAtomic(path, o.Contents[i], 0o644); err != nil {
				return fmt.Errorf("output: %w", err)
			}
		}
	}
	if a.json {
		a.print(r)
	} else {
		_, _ = io.WriteString(a.stdout, r.Stdout)
		_, _ = io.WriteString(a.stderr, r.Stderr)
		fmt.Fprintf(a.stderr, "%s: %s, %d instructions, %s in %s, output %s\n",
			filepath.Base(c.Program), r.Ended, r.Work, plural(len(r.Files), "output"), durationText(took), r.Output.Short())
	}
	if o.Exit != 0 {
		return failure{code: exitFailed} // it was told already
	}
	return nil
}

// childCommand runs this binary again as the child that a task runs in.
func childCommand() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program's own file, to run tasks in a process of their own: %w", err)
	}
	return []string{self, "sandbox-child"}, nil
}

// folderInputs opens the files under a folder as a program's inputs.
func folderInputs(dir string) (inputs []sandbox.InputFile, closeAll func(), err error) {
	var files []*os.File
	closeAll = func() {
		for _, f := range files {
			_ = f.Close() // they were only read
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("folder of inputs: %w; name one that is there with --in", err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := root.Open(path)
		if err != nil {
			return err
		}
		files = append(files, f)
		info, err := f.Stat()
		if err != nil {
			return err
		}
		inputs = append(inputs, sandbox.InputFile{Path: path, Size: info.Size(), Content: f})
		return nil
	})
	if err != nil {
		closeAll()
		return nil, nil, fmt.Errorf("inputs: %w", err)
	}
	return inputs, closeAll, nil
}

type sandboxChildCommand struct{}

// Run is the child process in which one task runs.
func (*sandboxChildCommand) Run(a *app) error {
	if code := sandbox.ChildMain(a.stdin, a.stdout); code != 0 {
		return failure{code: code} // it wrote its reason to standard error
	}
	return nil
}

type versionCommand struct{}

// version is what this program calls itself. Releases set it at build time.
const version = "0.1.0"

// Run prints the version.
func (*versionCommand) Run(a *app) error {
	if a.json {
		a.print(map[string]any{"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "meter": wasm.CurrentMeter})
		return nil
	}
	a.say("sheaf %s (%s, %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
