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

Everything is verified while it is written. A fetch that was interrupted goes on where it was. Of a job that runs, what is released so far is fetched.`
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
			"result_root": m.ResultRoot, "reduce_root": m.ReduceRoot,
		})
		return nil
	}
	a.say("Fetched %s (%s) into %s.", plural(f.Files, "output"), bytesText(f.Bytes), c.Out)
	if !m.Complete() {
		a.say("The job is %s, and not all of its results are final: this is what there is so far.", m.State)
	}
	if !m.ResultRoot.IsZero() {
		a.say("Result root:  %s", m.ResultRoot)
	}
	a.say("Check it at any time, offline, with: sheaf verify %s", c.Out)
	return nil
}
