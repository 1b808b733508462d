package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

type verifyCommand struct {
	Dir        string      `arg:"" help:"Folder that sheaf job fetch wrote." placeholder:"DIR"`
	Root       task.Digest `help:"The result root as you know it from elsewhere; it must be the folder's." placeholder:"DIGEST"`
	ReduceRoot task.Digest `help:"The root of the reduction as you know it from elsewhere." placeholder:"DIGEST"`
}

// Help is printed below the flags.
func (*verifyCommand) Help() string {
	return `Example:

    sheaf job fetch k3j2q7xw5mznh4ta --out results --server http://127.0.0.1:7710
    sheaf verify results
    sheaf verify results --root 05af75fec98ee3aa79d635e39f2644edcd28c0fe1a8cf7de447bfd44f7387860

It needs no network: every output is hashed, every list of outputs, every leaf of the result tree and its root. Without --root it shows that the folder is consistent in itself; with the root from the job's page, that nobody exchanged the whole of it. Exit code 3 means that something is wrong, and every file that is wrong is named. That tasks ended with an error of the program, or failed, is no such thing: it is what happened, and is said.`
}

// verifyResult is what --json prints.
type verifyResult struct {
	OK         bool                `json:"ok"`
	Job        task.JobID          `json:"job"`
	Released   uint64              `json:"results"`
	Failed     uint64              `json:"failed"`
	Errors     uint64              `json:"errors"`
	Empty      uint64              `json:"without_output"`
	Files      uint64              `json:"files"`
	Reduced    uint64              `json:"reduced"`
	Unreduced  uint64              `json:"reduction_errors"`
	Bytes      int64               `json:"bytes"`
	ResultRoot task.Digest         `json:"result_root,omitzero"`
	ReduceRoot task.Digest         `json:"reduce_root,omitzero"`
	Problems   []publisher.Problem `json:"problems,omitempty"`
	More       int                 `json:"more_problems,omitempty"`
}

// Run checks the folder.
func (c *verifyCommand) Run(a *app) error {
	report, err := publisher.Verify(a.ctx, c.Dir, publisher.VerifyOptions{ResultRoot: c.Root, ReduceRoot: c.ReduceRoot})
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w; name the folder that was fetched with: sheaf job fetch ID --out DIR", c.Dir, err)
	}
	if err != nil && !errors.Is(err, publisher.ErrNotVerified) {
		return fmt.Errorf("%s: %w", c.Dir, err)
	}
	r := verifyResult{
		OK: err == nil, Released: report.Released, Failed: report.Failed, Errors: report.Errors,
		Empty: report.Empty, Files: report.Files, Reduced: report.Reduced, Unreduced: report.Unreduced, Bytes: report.Bytes, Problems: report.Problems, More: report.More,
	}
	if m := report.Manifest; m != nil {
		r.Job, r.ResultRoot, r.ReduceRoot = m.Job, m.ResultRoot, m.ReduceRoot
	}
	if a.json {
		a.print(r)
	} else {
		c.show(a, r)
	}
	if err != nil {
		return failure{code: exitInvalid} // it was told already
	}
	return nil
}

func (c *verifyCommand) show(a *app, r verifyResult) {
	for _, p := range r.Problems {
		a.say("WRONG  %s", p)
	}
	if r.More > 0 {
		a.say("WRONG  and %s more", plural(r.More, "problem"))
	}
	if !r.OK {
		a.say("NOT verified: something in %s is not what was fetched. Fetch it again, or ask where it came from.", c.Dir)
		return
	}
	switch {
	case r.Released == 0:
		a.say("There are no results here: no task of job %s was final when it was fetched.", r.Job)
	case r.Files == 0:
		a.say("There are no outputs here. What is here, %s, belongs to job %s.", plural(r.Released, "result"), r.Job)
	default:
		a.say("Verified: all %s of job %s belong to it, and so do %s (%s).", plural(r.Released, "result"), r.Job, outputsText(r.Files, r.Reduced), bytesText(r.Bytes))
	}
	shortfall{Tasks: r.Released, Errors: r.Errors, Failed: r.Failed, Empty: r.Empty, Unreduced: r.Unreduced}.tell(a, r.Job)
	if !r.ResultRoot.IsZero() {
		a.say("Result root:  %s", r.ResultRoot)
	}
	if !r.ReduceRoot.IsZero() {
		a.say("Reduce root:  %s", r.ReduceRoot)
	}
	if c.Root.IsZero() && !r.ResultRoot.IsZero() {
		a.say("To be sure that nobody exchanged the whole folder, compare the root with that on the job's page, or give it with --root.")
	}
}
