// Command sheaf is all of Sheaf in one binary: the coordinator, the volunteer's
// client, the publisher's commands, and tools to check and to try things.
//
// Each command has its own file. main reads the command line, makes the one
// root context, which Ctrl-C and SIGTERM end, and turns errors into exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/sheafgrid/sheaf/client/remote"
	"github.com/sheafgrid/sheaf/internal/timerslack"
)

// The exit codes of every command.
const (
	exitOK          = 0
	exitFailed      = 1   // it could not be done; the message says why and what to do
	exitUsage       = 2   // the command line is wrong
	exitInvalid     = 3   // what was checked is not right: verify, demo
	exitUnavailable = 4   // no coordinator could be reached; the same command may work later
	exitTaskErrors  = 5   // the job that was watched is done, but tasks of it ended with an error
	exitInterrupted = 130 // Ctrl-C
)

// commands is the command line.
type commands struct {
	JSON bool `help:"Print JSON for programs instead of text for people." name:"json"`

	Coordinator  coordinatorCommand  `cmd:"" help:"Run one node of a cluster."`
	Client       clientCommand       `cmd:"" help:"Volunteer this machine."`
	Project      projectCommand      `cmd:"" help:"Make a project to publish under."`
	App          appCommand          `cmd:"" help:"Publish programs."`
	Job          jobCommand          `cmd:"" help:"Submit jobs, watch them, fetch their results."`
	Verify       verifyCommand       `cmd:"" help:"Check fetched results, offline."`
	Task         taskCommand         `cmd:"" help:"Try a program in the volunteers' sandbox."`
	Operator     operatorCommand     `cmd:"" help:"Look after a cluster: its coordinators, its settings."`
	Demo         demoCommand         `cmd:"" help:"See a whole cluster at work on this machine, with a liar, a lost volunteer and a lost leader."`
	Bench        benchCommand        `cmd:"" help:"Measure and torment a cluster on this machine."`
	Version      versionCommand      `cmd:"" help:"Print the version."`
	SandboxChild sandboxChildCommand `cmd:"" hidden:"" name:"sandbox-child" help:"Run one task; started by the client."`
}

const description = `An open utility for donated computing: volunteers' machines compute for science, and every result is checked.

Exit codes: 0 done; 1 failed; 2 wrong command line; 3 what was checked is not right; 4 no coordinator can be reached; 5 the job that was watched is done, but tasks of it ended with an error; 130 interrupted.`

// app is what a command runs with.
type app struct {
	ctx    context.Context // ends with Ctrl-C: the one root context, handed on by each command
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	json   bool
}

func main() {
	if isBusy(os.Args[1:]) {
		timerslack.Widen()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// isBusy tells the commands that wait for a disk and for others all the time.
func isBusy(args []string) bool {
	i := slices.IndexFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") })
	return i >= 0 && (args[i] == "coordinator" || args[i] == "bench")
}

// run carries out one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c commands
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("sheaf"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exited = code }), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Vars{"dataHome": dataHome(), "accountFile": accountFile()},
	)
	if err != nil {
		fmt.Fprintf(stderr, "sheaf: %v\n", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help was printed
	}
	a := &app{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, json: c.JSON}
	if err != nil {
		a.complain(fmt.Errorf("%w; see: %s --help", err, commandOf(err)), exitUsage)
		return exitUsage
	}
	err = parsed.Run(a)
	code := exitCode(ctx, err)
	if err != nil {
		a.complain(err, code)
	}
	return code
}

// commandOf is as much of a wrong command line as was a command.
func commandOf(err error) string {
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil {
		if node := wrong.Context.Selected(); node != nil {
			return node.FullPath()
		}
	}
	return "sheaf"
}

// failure is an error with an exit code of its own.
type failure struct {
	error
	code int
}

// Unwrap returns what failed.
func (f failure) Unwrap() error { return f.error }

func exitCode(ctx context.Context, err error) int {
	var f failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &f):
		return f.code
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, remote.ErrUnreachable):
		return exitUnavailable
	}
	return exitFailed
}

// complain tells what went wrong: to people on standard error, to programs as
// the last line of standard output.
func (a *app) complain(err error, code int) {
	var f failure
	if errors.As(err, &f) && f.error == nil {
		return // it was told already
	}
	if a.json {
		a.print(map[string]any{"ok": false, "error": err.Error(), "exit": code})
		return
	}
	if code == exitInterrupted {
		fmt.Fprintln(a.stderr, "sheaf: interrupted")
		return
	}
	text := err.Error()
	if more := advice(err); more != "" {
		text += "; " + more
	}
	fmt.Fprintf(a.stderr, "sheaf: %s\n", text)
}
