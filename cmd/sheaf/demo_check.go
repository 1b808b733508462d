package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

// check finds out whether everything held.
func (d *demo) check(ctx context.Context) error {
	d.screen.event("The job has ended; fetching and checking its results")
	results := filepath.Join(d.dir, "results")
	if _, err := d.command(ctx, "job", "fetch", d.result.Job.String(), "--out", results, "--server", strings.Join(d.urls(), ","), "--json"); err != nil {
		return err
	}
	var job protocol.JobView
	if err := d.any(protocol.JobPath(d.result.Job), &job); err != nil {
		return err
	}
	d.result.Root = job.ResultRoot
	if job.State != "done" || job.Levels[0].Failed > 0 {
		d.problem("the job ended %s with %d failed tasks", job.State, job.Levels[0].Failed)
	}
	if p := job.Progress; p != nil {
		d.result.Attempts, d.result.WrongReturned = p.Attempts, p.Wrong
	}
	_, err := d.command(ctx, "verify", results, "--root", job.ResultRoot.String(), "--json")
	d.result.Verified = err == nil
	if err != nil {
		d.problem("%v", err)
	}
	if err := d.ranking(filepath.Join(results, "reduced", "stdout")); err != nil {
		d.problem("the ranking: %v", err)
	}
	if err := d.liars(); err != nil {
		return err
	}
	if err := d.reports(job); err != nil {
		return err
	}
	if err := d.recompute(ctx, job); err != nil {
		return err
	}
	d.expectations()
	if err := d.replicas(ctx); err != nil {
		return err
	}
	d.result.Seconds = time.Since(d.began).Round(100 * time.Millisecond).Seconds()
	d.result.OK = len(d.result.Problems) == 0
	return nil
}

func (d *demo) problem(format string, args ...any) {
	d.result.Problems = append(d.result.Problems, fmt.Sprintf(format, args...))
}

// ranking reads the five best settings of the reduced output.
func (d *demo) ranking(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	columns := strings.Split(lines[0], ",")
	accuracy := slices.Index(columns, "test_accuracy")
	if accuracy < 0 || len(lines) < 6 {
		return fmt.Errorf("%q is no ranking", lines[0])
	}
	d.result.Best = lines[1:6]
	d.result.BestAccuracy, err = strconv.ParseFloat(strings.Split(lines[1], ",")[accuracy], 64)
	return err
}

// liars are the hosts that the cluster found to have returned wrong results.
func (d *demo) liars() error {
	var hosts []protocol.HostView
	if err := d.any(protocol.PathHosts, &hosts); err != nil {
		return err
	}
	d.result.LiarsCaught = []string{}
	for _, h := range hosts {
		if h.Wrong > 0 {
			d.result.LiarsCaught = append(d.result.LiarsCaught, h.Name)
		}
	}
	return nil
}

// reports compares what each volunteer was told was accepted with what the
// cluster has, and counts what was credited.
func (d *demo) reports(job protocol.JobView) error {
	lost, twice, err := d.audit(job)
	d.result.ReportsLost, d.result.CreditedTwice = len(lost), len(twice)
	for _, p := range append(lost, twice...) {
		d.problem("%s", p)
	}
	return err
}

// audit reads all attempts of a job, and the trails of all clients.
func (f *fleet) audit(job protocol.JobView) (lost, twice []string, err error) {
	type place struct {
		level   uint8
		attempt task.AttemptID
	}
	type work struct {
		level uint8
		index uint64
		host  task.Key
	}
	have := map[place]protocol.AttemptView{}
	credited := map[work]int{}
	for _, l := range job.Levels {
		for from, done := uint64(0), false; !done; {
			var page protocol.AttemptPage
			if err := f.any(protocol.AttemptsPath(job.Job, l.Level, from, protocol.MaxPage), &page); err != nil {
				return nil, nil, err
			}
			for _, a := range page.Attempts {
				have[place{l.Level, a.Attempt}] = a
				if a.Credit > 0 {
					credited[work{l.Level, a.Index, a.Host}]++
				}
			}
			from, done = page.Next, page.Done
		}
	}
	for w, n := range credited {
		if n > 1 {
			twice = append(twice, fmt.Sprintf("task %d of level %d was credited %d times to %s", w.index, w.level, n, w.host))
		}
	}
	for _, p := range f.clients {
		lines, err := readTrail(p.trail)
		if err != nil {
			return nil, nil, err
		}
		for _, t := range lines {
			if t.Job != job.Job || t.Ack != protocol.AckAccepted.String() || t.Failure != "" {
				continue
			}
			a, ok := have[place{t.Level, t.Attempt}]
			if !ok || a.Output != t.Output || a.State != "valid" && a.State != "wrong" && a.State != "reported" {
				lost = append(lost, fmt.Sprintf("the result of task %d, level %d, by %s was accepted and is gone", t.Index, t.Level, p.name))
			}
		}
	}
	return lost, twice, nil
}

// trailLine is one report that a client was told about.
type trailLine struct {
	Job     task.JobID     `json:"job"`
	Level   uint8          `json:"level"`
	Index   uint64         `json:"index"`
	Attempt task.AttemptID `json:"attempt"`
	Output  task.Digest    `json:"output"`
	Failure string         `json:"failure"`
	Ack     string         `json:"ack"`
}

func readTrail(path string) ([]trailLine, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, nil // it never reported anything
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []trailLine
	for s := bufio.NewScanner(f); s.Scan(); {
		var t trailLine
		if err := json.Unmarshal(s.Bytes(), &t); err != nil {
			continue // a last line that a kill cut short was never acted upon
		}
		lines = append(lines, t)
	}
	return lines, nil
}

// recompute runs every task of level 0 here, in the same sandbox, and compares:
// whatever the volunteers said, this is the truth.
func (d *demo) recompute(ctx context.Context, job protocol.JobView) error {
	file, err := publisher.Load(filepath.Join(d.dir, "examples", "digits"))
	if err != nil {
		return err
	}
	plan, err := file.Plan(ctx)
	if err != nil {
		return err
	}
	blobs, err := readBlobs(ctx, plan)
	if err != nil {
		return err
	}
	var page protocol.ResultPage
	if err := d.any(protocol.ResultsPath(job.Job, 0, 0, protocol.MaxPage), &page); err != nil {
		return err
	}
	d.screen.event("Recomputing all %d tasks here, to be sure", len(page.Results))
	command, err := childCommand()
	if err != nil {
		return err
	}
	runner := sandbox.Runner{Command: command}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for _, r := range page.Results {
		g.Go(func() error {
			t, err := plan.Spec.Task(job.Job, 0, r.Index, nil)
			if err != nil {
				return err
			}
			o, err := runner.Run(ctx, requestOf(&t, blobs), nil)
			if err != nil {
				return fmt.Errorf("recomputing task %d: %w", r.Index, err)
			}
			if o.Exit != r.Exit || o.Outputs.Digest() != r.Output || o.Work != r.Work {
				mu.Lock()
				defer mu.Unlock()
				d.result.WrongAccepted++
				d.problem("the accepted result of task %d is wrong", r.Index)
			}
			return nil
		})
	}
	return g.Wait()
}

// readBlobs reads what a plan would upload.
func readBlobs(ctx context.Context, plan *publisher.Plan) (map[task.Digest]string, error) {
	blobs := map[task.Digest]string{}
	for i := range plan.Blobs {
		r, err := plan.Blobs[i].Open(ctx)
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
		blobs[plan.Blobs[i].Digest] = string(b)
	}
	return blobs, nil
}

// requestOf is a task as the sandbox runs it.
func requestOf(t *task.Task, blobs map[task.Digest]string) sandbox.Request {
	q := sandbox.Request{Module: []byte(blobs[t.Program]), Meter: t.Meter, Args: t.Args, Limits: t.Limits, Seed: t.Seed}
	for _, in := range t.Inputs {
		content := strings.NewReader(blobs[in.Blob][in.Offset : in.Offset+in.Length])
		q.Inputs = append(q.Inputs, sandbox.InputFile{Path: in.Path, Size: in.Length, Content: content})
	}
	return q
}

// expectations names what should have happened and did not.
func (d *demo) expectations() {
	r := &d.result
	if r.WrongReturned == 0 {
		d.problem("the liar was asked for nothing that it lied about")
	}
	if !slices.Equal(r.LiarsCaught, []string{demoLiar}) {
		d.problem("caught as liars: %q, want %s alone", r.LiarsCaught, demoLiar)
	}
	if r.BestAccuracy <= 0.95 {
		d.problem("the best accuracy is %.4f, a real training reaches more than 0.95", r.BestAccuracy)
	}
}

// replicas stops the volunteers and compares the coordinators' states.
func (d *demo) replicas(ctx context.Context) error {
	for _, p := range d.clients {
		if p.running() {
			interrupt(p.cmd.Process)
		}
	}
	for _, p := range d.clients {
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
			p.kill()
		}
	}
	equal, _, err := d.sameState(ctx)
	d.result.StatesEqual = equal
	if !equal {
		d.problem("the coordinators' states differ")
	}
	return err
}

// report tells a person how it ended.
func (d *demo) report() {
	r := &d.result
	d.say("")
	d.say("The five best of %d networks (hidden units, rate, decay, seed, accuracy in training and in test, loss):", r.Tasks)
	for _, line := range r.Best {
		d.say("    %s", line)
	}
	d.say("")
	d.say("  attempts made               %d", r.Attempts)
	d.say("  wrong results returned      %d, accepted %d (every task was recomputed here)", r.WrongReturned, r.WrongAccepted)
	d.say("  liars caught                %s", strings.Join(r.LiarsCaught, ", "))
	d.say("  volunteer lost              %s", r.VolunteerLost)
	d.say("  leader killed               %s; the cluster was without one for %s", r.LeaderKilled, durationText(time.Duration(r.LeaderlessMS)*time.Millisecond))
	d.say("  accepted reports lost       %d", r.ReportsLost)
	d.say("  tasks credited twice        %d", r.CreditedTwice)
	d.say("  coordinators' states        %s", map[bool]string{true: "equal", false: "DIFFERENT"}[r.StatesEqual])
	d.say("  sheaf verify                %s", map[bool]string{true: "every output belongs to the result root", false: "FAILED"}[r.Verified])
	d.say("  result root                 %s", r.Root)
	d.say("  time                        %s", durationText(time.Duration(r.Seconds*float64(time.Second))))
	for _, p := range r.Problems {
		d.say("PROBLEM: %s", p)
	}
	if r.OK {
		d.say("")
		d.say("Everything held.")
	}
}
