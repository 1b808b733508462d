package main

import (
	"errors"
	"fmt"

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

It needs no network: every output is hashed, every list of outputs, every leaf of the result tree and its root. Without --root it shows that the folder is consistent in itself; with the root from the job's page, that nobody exchanged the whole of it. Exit code 3 means that something is wrong, and every file that is wrong is named.`
}

// verifyResult is what --json prints.
type verifyResult struct {
	OK         bool                `json:"ok"`
	Job        task.JobID          `json:"job"`
	Released   uint64              `json:"results"`
	Failed     uint64              `json:"failed"`
	Errors     uint64              `json:"errors"`
	Files      uint64              `json:"files"`
	Bytes      int64               `json:"bytes"`
	ResultRoot task.Digest         `json:"result_root,omitzero"`
	ReduceRoot task.Digest         `json:"reduce_root,omitzero"`
	Problems   []publisher.Problem `json:"problems,omitempty"`
	More       int                 `json:"more_problems,omitempty"`
}

// Run checks the folder.
func (c *verifyCommand) Run(a *app) error {
	report, err := publisher.Verify(a.ctx, c.Dir, publisher.VerifyOptions{ResultRoot: c.Root, ReduceRoot: c.ReduceRoot})
	if err != nil && !errors.Is(err, publisher.ErrNotVerified) {
		return fmt.Errorf("%s: %w", c.Dir, err)
	}
	r := verifyResult{
		OK: err == nil, Released: report.Released, Failed: report.Failed, Errors: report.Errors,
		Files: report.Files, Bytes: report.Bytes, Problems: report.Problems, More: report.More,
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
	a.say("Verified: all %s of %s (%s) belong to job %s.", plural(r.Files, "output"), plural(r.Released, "result"), bytesText(r.Bytes), r.Job)
	if r.Failed > 0 {
		a.say("Of the results, %d say that their task ended failed.", r.Failed)
	}
	if !r.ResultRoot.IsZero() {
		a.say("Result root:  %s", r.ResultRoot)
	}
	if !r.ReduceRoot.IsZero() {
		a.say("Reduce root:  %s", r.ReduceRoot)
	}
	if c.Root.IsZero() {
		a.say("To be sure that nobody exchanged the whole folder, compare the root with that on the job's page, or give it with --root.")
	}
}
