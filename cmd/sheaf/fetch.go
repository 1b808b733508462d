package main

import (
	"fmt"
	"time"

	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

type jobFetchCommand struct {
	Job         task.JobID `arg:"" help:"The job's id."`
	Out         string     `help:"Folder for the results: empty, not there yet, or of an earlier fetch of the same job." required:"" placeholder:"DIR"`
	OnlyReduced bool       `help:"Leave out the single tasks' outputs of a job with a reduction."`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*jobFetchCommand) Help() string {
	return `Example:

    sheaf job fetch k3j2q7xw5mznh4ta --out results --server http://127.0.0.1:7710
    sheaf verify results

Everything is verified while it is written. A fetch that was interrupted goes on where it was. Of a job that runs, or was cancelled, what is released so far is fetched: results are released in groups of up to 4,096 tasks, when every task of the group is decided.

The exit code is 0 when everything that there is was fetched, also where tasks ended with an error of the program or failed; how many is said, and is in errors and failed with --json.`
}

// Run fetches results.
func (c *jobFetchCommand) Run(a *app) error {
	s, err := c.reader(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	width, terminal := a.terminal()
	last := time.Now()
	progress := func(p publisher.Progress) {
		if terminal && time.Since(last) > 200*time.Millisecond {
			last = time.Now()
			line := fmt.Sprintf("%s %d of %d outputs, %s", bar(p.Files, p.AllFiles, 24), p.Files, p.AllFiles, bytesText(p.Bytes))
			fmt.Fprintf(a.stdout, "\r\x1b[K%s", clipLine(line, width))
		}
	}
	f, err := publisher.Fetch(a.ctx, source{s}, c.Job, c.Out, publisher.FetchOptions{OnlyReduced: c.OnlyReduced, Progress: progress})
	if terminal {
		fmt.Fprint(a.stdout, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	m := f.Manifest
	if a.json {
		a.print(map[string]any{
			"job": c.Job, "out": c.Out, "state": m.State, "complete": m.Complete(), "files": f.Files, "bytes": f.Bytes, "reused": f.Reused,
			"results": f.Released, "errors": f.Errors, "failed": f.Failed, "without_output": f.Empty, "reduction_errors": f.Unreduced, "reduced": f.Reduced,
			"result_root": m.ResultRoot, "reduce_root": m.ReduceRoot,
		})
		return nil
	}
	a.say("Fetched %s (%s) into %s.", outputsText(f.Files, f.Reduced), bytesText(f.Bytes), c.Out)
	shortfall{Tasks: f.Released, Errors: f.Errors, Failed: f.Failed, Empty: f.Empty, Unreduced: f.Unreduced}.tell(a, c.Job)
	switch l := m.Levels[0]; {
	case m.Complete():
	case m.State == "cancelled":
		a.say("The job was cancelled when %d of %s were final: this is all that can be fetched.", l.Released, plural(l.Tasks, "task"))
	default:
		a.say("The job is %s, and %d of %s are final: this is what there is so far.", m.State, l.Released, plural(l.Tasks, "task"))
	}
	if !m.ResultRoot.IsZero() {
		a.say("Result root:  %s", m.ResultRoot)
	}
	a.say("Check it at any time, offline, with: sheaf verify %s", c.Out)
	return nil
}
