package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

type jobSubmitCommand struct {
	File        string `arg:"" help:"The job file, or the folder that job.yaml lies in." placeholder:"FILE"`
	Watch       bool   `help:"Follow the job until it ends."`
	serverFlags `embed:""`
}

// Help is printed below the flags.
func (*jobSubmitCommand) Help() string {
	return `Example: a job file job.yaml

    project: primes
    program: count.wasm
    args: ["{from}", "{to}"]
    split: {range: {from: 0, to: 100000000, step: 2000000}}
    check: {replicate: 2}

and

    sheaf job submit job.yaml --server http://127.0.0.1:7710 --watch

or, with the examples that Sheaf comes with,

    sheaf job submit examples/primes --server http://127.0.0.1:7710

Inputs and programs are uploaded, the project and the program are published under your account if they are not yet. The first line after that names the job's id; without --watch, the last line is the id alone. Ctrl-C ends the watching, not the job.

With --watch the exit code says how the job ended: 0 when every task of it ended with 0; 5 when it is done, but tasks ended with an error of the program or failed; 1 when it was cancelled.`
}

// Run submits the job.
func (c *jobSubmitCommand) Run(a *app) error {
	file, err := publisher.Load(c.File)
	if err != nil {
		return err
	}
	plan, err := file.Plan(a.ctx)
	if err != nil {
		return err
	}
	s, err := c.connect(a)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	id, err := s.submit(a, plan)
	if err != nil {
		return err
	}
	tasks := plan.Spec.Count(0)
	if a.json {
		a.print(map[string]any{"job": id, "tasks": tasks, "project": plan.Project, "name": plan.Spec.Name})
	}
	a.say("Submitted %s of project %s as job %s: %s, each %s.", plan.Spec.Name, plan.Project, id, plural(tasks, "task"), checkText(plan.Spec.Check.Replicate))
	if c.Watch {
		return s.watch(a, id)
	}
	if a.json {
		return nil
	}
	a.say("Follow it with:        sheaf job watch %s --server %s", id, s.servers)
	a.say("Fetch results with:    sheaf job fetch %s --out DIR --server %s", id, s.servers)
	a.say("%s", id)
	return nil
}

// submit uploads what a plan names, publishes its programs and submits it.
// All of it may be repeated: what is there already is left as it is.
func (s *session) submit(a *app, plan *publisher.Plan) (task.JobID, error) {
	if _, err := s.call(a.ctx, protocol.PurposeCreateProject, protocol.CreateProject{Name: plan.Project, AccountName: s.name()}); err != nil {
		if protocol.HasCode(err, protocol.CodeConflict) {
			err = fmt.Errorf("%w: change `project:` in the job file, or give the key of the project's owner with --account", err)
		}
		return task.JobID{}, err
	}
	for i := range plan.Blobs {
		b := &plan.Blobs[i]
		if b.Size > 1<<20 {
			a.say("Uploading %s (%s)", b.What, bytesText(b.Size))
		}
		if err := s.upload(a.ctx, b); err != nil {
			return task.JobID{}, fmt.Errorf("uploading %s: %w", b.What, err)
		}
	}
	for _, v := range plan.Versions {
		if _, err := s.publish(a.ctx, plan.Project, v.App, v.Program, v.Meter); err != nil {
			return task.JobID{}, err
		}
	}
	done, err := s.call(a.ctx, protocol.PurposeSubmit, protocol.Submit{Project: plan.Project, Spec: protocol.EncodeSpec(&plan.Spec)})
	if err != nil {
		return task.JobID{}, err
	}
	return done.Job, nil
}

// upload stores a blob, unless a public one is there: that much anyone may know.
func (s *session) upload(ctx context.Context, b *publisher.Blob) error {
	if b.Size > 1<<20 {
		err := s.remote.Download(ctx, b.Digest, 0, 1, io.Discard)
		if err == nil {
			return nil
		}
		if !protocol.HasCode(err, protocol.CodeNotFound) && errors.Is(ctx.Err(), context.Canceled) {
			return err
		}
	}
	return s.remote.Upload(ctx, s.key, protocol.PathBlobs, b.Digest, b.Size, func() (io.ReadCloser, error) { return b.Open(ctx) })
}
