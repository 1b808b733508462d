package histories

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/anishathalye/porcupine"

	"github.com/sheafgrid/sheaf/protocol"
)

// check looks for an order of the operations, and for what was accepted.
func (r *run) check() error {
	r.mu.Lock()
	errs := r.errs
	r.mu.Unlock()
	m := model()
	switch result, info := porcupine.CheckOperationsVerbose(m, r.history, checkFor); result {
	case porcupine.Illegal:
		errs = append(errs, fmt.Errorf("not linearizable: no order of %d operations explains their answers; %s%s", len(r.history), r.draw(m, info), r.culprit(m)))
	case porcupine.Unknown:
		errs = append(errs, fmt.Errorf("no order of %d operations was found within %s", len(r.history), checkFor))
	}
	if len(errs) == 0 {
		errs = append(errs, r.checkJobs())
	}
	return errors.Join(errs...)
}

// draw writes the history as a page, into the folder that SHEAF_HISTORIES
// names.
func (r *run) draw(m porcupine.Model, info porcupine.LinearizationInfo) string {
	dir := os.Getenv("SHEAF_HISTORIES")
	if dir == "" {
		return "set SHEAF_HISTORIES to a folder for a picture of it"
	}
	path := filepath.Join(dir, fmt.Sprintf("history-%d.html", r.cfg.Seed))
	if err := porcupine.VisualizePath(m, info, path); err != nil {
		return err.Error()
	}
	return "see " + path
}

// culprit lists the operations of the first job that has no order.
func (r *run) culprit(m porcupine.Model) string {
	for _, part := range byJob(r.history) {
		if porcupine.CheckOperations(m, part) {
			continue
		}
		var b bytes.Buffer
		j := part[0].Input.(operation).job
		fmt.Fprintf(&b, "\njob %s of publisher %d, %d tasks, replicate %d:", j.id, j.owner, j.tasks, j.replicate)
		for _, o := range part {
			fmt.Fprintf(&b, "\n  [%d, %d] client %d: %s", o.Call, o.Return, o.ClientId, describe(o.Input.(operation), o.Output.(answer)))
		}
		return b.String()
	}
	return ""
}

// checkJobs compares what was accepted with what the finished jobs say: each
// result is there, once, paid once, and its output can be read (R1, C1).
func (r *run) checkJobs() error {
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	var errs []error
	for _, j := range r.jobs {
		p := r.publishers[j.owner]
		var v protocol.JobView
		if err := p.getJSON(ctx, protocol.JobPath(j.id), &v, nil); err != nil {
			errs = append(errs, fmt.Errorf("R1: job %s was submitted: %w", j.id, err))
			continue
		}
		if v.State == "done" {
			errs = append(errs, r.checkResults(ctx, p, j))
		}
	}
	return errors.Join(errs...)
}

func (r *run) checkResults(ctx context.Context, p *publisher, j *job) error {
	var page protocol.AttemptPage
	if err := p.getJSON(ctx, protocol.AttemptsPath(j.id, 0, 0, protocol.MaxPage), &page, nil); err != nil {
		return err
	}
	type at struct{ index, host int }
	valid, want := map[at]int{}, map[at]int{}
	for _, a := range page.Attempts {
		if a.State == "valid" {
			valid[at{int(a.Index), r.hostOf(a)}]++
			if a.Credit != creditEach || a.Output != outputs(j, int(a.Index)).Digest() {
				return fmt.Errorf("C1: task %d of job %s: credit %d, output %s", a.Index, j.id, a.Credit, a.Output.Short())
			}
		}
	}
	for _, k := range r.accepted {
		if k.job == j {
			want[at{k.index, k.host}]++
		}
	}
	for k, n := range want {
		if n != 1 || valid[k] != 1 {
			return fmt.Errorf("R1: task %d of job %s: host %d was told %d times that its result is accepted, and it is there %d times", k.index, j.id, k.host, n, valid[k])
		}
	}
	if len(valid) != len(want) {
		return fmt.Errorf("R2: job %s has %d results, hosts were told of %d", j.id, len(valid), len(want))
	}
	return r.checkOutputs(ctx, p, j)
}

func (r *run) hostOf(a protocol.AttemptView) int {
	for i, h := range r.hosts {
		if h.public() == a.Host {
			return i
		}
	}
	return -1
}

func (r *run) checkOutputs(ctx context.Context, p *publisher, j *job) error {
	for i := range j.tasks {
		err := p.each(ctx, fmt.Sprintf("the output of task %d of job %s", i, j.id), func(ctx context.Context, node int) error {
			b, err := r.cluster.Do(ctx, node, "GET", protocol.OutputPath(j.id, 0, uint64(i), 0), nil, nil)
			if err == nil && !bytes.Equal(b, output(j, i)) {
				err = fmt.Errorf("it is %q", b)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("R1: %w", err)
		}
	}
	return nil
}
