package histories

import (
	"context"
	"math/rand/v2"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// Publisher is a single publisher, for tests that say what happens when.
type Publisher struct{ p *publisher }

// NewPublisher makes a publisher with a project and a program. seed names it.
func NewPublisher(ctx context.Context, c Cluster, cluster task.ClusterID, program []byte, seed uint64) (*Publisher, error) {
	r := &run{cfg: Config{Seed: seed, Cluster: cluster, Program: program}, cluster: c, rnd: rand.New(rand.NewPCG(seed, 7))}
	p := &publisher{party: r.newParty("publisher", 0), project: "project-of-one"}
	return &Publisher{p}, p.open(ctx)
}

// Submit submits a job, and returns once that is acknowledged.
func (p *Publisher) Submit(ctx context.Context) (task.JobID, error) {
	j := p.p.newJob()
	return j.id, p.p.do(ctx, protocol.PurposeSubmit, p.p.submission(j))
}

// Cancel cancels a job, and returns once that is acknowledged.
func (p *Publisher) Cancel(ctx context.Context, job task.JobID) error {
	return p.p.do(ctx, protocol.PurposeCancel, protocol.Cancel{Job: job})
}
