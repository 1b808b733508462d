package histories

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// publisher submits, cancels and reads.
type publisher struct {
	*party
	number  int
	project string
	own     []*job
}

// most jobs of one publisher.
const mostJobs = 4

// open makes the publisher's project, with its program.
func (p *publisher) open(ctx context.Context) error {
	if err := p.do(ctx, protocol.PurposeCreateProject, protocol.CreateProject{Name: p.project}); err != nil {
		return err
	}
	program := task.Sum(p.run.cfg.Program)
	header := map[string]string{
		protocol.HeaderKey:       p.public().String(),
		protocol.HeaderSignature: protocol.EncodeSignature(protocol.SignUpload(p.key, p.run.cfg.Cluster, program)),
	}
	err := p.each(ctx, "uploading", func(ctx context.Context, node int) error {
		_, err := p.run.cluster.Do(ctx, node, "PUT", protocol.PathBlobs+program.String(), p.run.cfg.Program, header)
		return err
	})
	if err != nil {
		return err
	}
	return p.do(ctx, protocol.PurposePublish, protocol.Publish{
		Project: p.project, App: "app", Program: program, Meter: 1,
		Signature: protocol.SignVersion(p.key, p.project, "app", program, 1),
	})
}

// work begins the publisher's operations.
func (p *publisher) work(ctx context.Context) error {
	for range p.run.cfg.Steps {
		var err error
		switch n := p.rnd.IntN(10); {
		case len(p.own) == 0 || n < 3 && len(p.own) < mostJobs:
			err = p.submit(ctx)
		case n < 4:
			err = p.cancel(ctx, p.own[p.rnd.IntN(len(p.own))])
		case n < 6:
			err = p.list(ctx)
		default:
			err = p.read(ctx, p.anyJob())
		}
		if err == nil {
			err = p.rest(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rest pauses between two operations.
func (p *party) rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(p.rnd.Int64N(int64(2 * pause)))):
		return nil
	}
}

func (p *publisher) anyJob() *job {
	p.run.mu.Lock()
	defer p.run.mu.Unlock()
	return p.run.jobs[p.rnd.IntN(len(p.run.jobs))]
}

func (p *publisher) submit(ctx context.Context) error {
	j := p.newJob()
	p.own = append(p.own, j)
	p.run.mu.Lock()
	p.run.jobs = append(p.run.jobs, j)
	p.run.mu.Unlock()
	return p.change(ctx, operation{kind: opSubmit, job: j}, protocol.PurposeSubmit, p.submission(j), protocol.Cancel{Job: j.id})
}

// newJob is a job that the publisher's next request submits.
func (p *publisher) newJob() *job {
	return &job{
		id: task.NewJobID(p.public(), p.session, p.party.number+1), owner: p.number,
		tasks: 1 + p.rnd.IntN(maxTasks), replicate: 1 + p.rnd.IntN(3),
	}
}

func (p *publisher) submission(j *job) protocol.Submit {
	return protocol.Submit{Project: p.project, Spec: protocol.EncodeSpec(&task.JobSpec{
		Name: "history", Program: task.Sum(p.run.cfg.Program), Meter: 1, Args: []string{"{from}"},
		Split:  task.Split{Kind: task.SplitRange, Range: task.Range{To: int64(j.tasks), Step: 1}},
		Check:  task.Check{Replicate: uint8(j.replicate), MaxAttempts: 50},
		Limits: task.Limits{Work: 1e9, Memory: 16 << 20, Output: 1 << 20, Wall: 60_000, Deadline: 600_000},
	})}
}

func (p *publisher) cancel(ctx context.Context, j *job) error {
	return p.change(ctx, operation{kind: opCancel, job: j}, protocol.PurposeCancel, protocol.Cancel{Job: j.id}, protocol.Cancel{})
}

// change sends a request that changes a job, perhaps copies of it, and perhaps
// another one under its number.
func (p *publisher) change(ctx context.Context, o operation, purpose protocol.Purpose, payload, other any) error {
	e, err := p.envelope(ctx, purpose, payload)
	if err != nil {
		return err
	}
	call := p.run.clock.Add(1)
	compare := p.hedge(ctx, e)
	r, err := p.send(ctx, e)
	if err != nil {
		return err
	}
	a := answer{returned: -1}
	switch {
	case r.Error != nil:
		a.refused = r.Error.Text
	case r.Done.Job != o.job.id:
		a.refused = fmt.Sprintf("answered about job %s", r.Done.Job)
	default:
		a.existed = r.Done.Existed
	}
	p.run.record(p.number, call, o, a)
	same := func(again *protocol.Reply) bool {
		return again.Error == nil && again.Done != nil && r.Done != nil && again.Done.Job == r.Done.Job && again.Done.Existed == r.Done.Existed
	}
	compare(same)
	if p.rnd.IntN(5) == 0 {
		p.repeat(ctx, e, same)
	}
	if p.rnd.IntN(5) == 0 {
		p.reuse(ctx, e.Number, other)
	}
	return nil
}

// reuse sends another request under a number that was used: it must be refused.
func (p *publisher) reuse(ctx context.Context, number uint64, other any) {
	r, err := p.try(ctx, p.signed(number, protocol.PurposeCancel, other), p.via)
	if err == nil && r.Error == nil {
		p.run.problem("R2: request %d of publisher %d was carried out with another body", number, p.number)
	}
}

func (p *publisher) read(ctx context.Context, j *job) error {
	path := protocol.JobPath(j.id)
	call := p.run.clock.Add(1)
	var v protocol.JobView
	var header map[string]string
	if j.owner == p.number {
		header = p.readHeader(path)
	}
	err := p.getJSON(ctx, path, &v, header)
	if err != nil && !errors.Is(err, errNoJob) {
		return err
	}
	p.run.record(p.number, call, operation{kind: opRead, job: j}, seen(&v))
	return nil
}

// seen is what a view says of a job; of an empty one, that it is not there.
func seen(v *protocol.JobView) answer {
	a := answer{state: v.State, returned: -1}
	if v.Progress != nil {
		a.returned, a.credit = int(v.Progress.Returned), v.Progress.Credit
	}
	return a
}

// list reads all jobs at once.
func (p *publisher) list(ctx context.Context) error {
	p.run.mu.Lock()
	known := append([]*job(nil), p.run.jobs...)
	p.run.mu.Unlock()
	call := p.run.clock.Add(1)
	var views []protocol.JobView
	if err := p.getJSON(ctx, protocol.PathJobs, &views, nil); err != nil {
		return err
	}
	for _, j := range known {
		a := answer{returned: -1}
		for i := range views {
			if views[i].Job == j.id {
				a = seen(&views[i])
			}
		}
		p.run.record(p.number, call, operation{kind: opList, job: j}, a)
	}
	return nil
}
