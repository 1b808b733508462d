package histories

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// History is what came of one run.
type History struct {
	Operations int // on jobs
	Jobs       int
	Accepted   int // results
	Copies     int // requests that were sent again after they were answered
}

// checkFor bounds the search for an order.
const checkFor = 60 * time.Second

// publishers is how many there are.
const publishers = 2

// Run lets clients work while fault does its harm, and checks what they were
// told. fault gets a context that ends with the clients, and must have mended
// what it did when it returns.
func Run(ctx context.Context, cfg Config, c Cluster, fault func(context.Context) error) (*History, error) {
	r := &run{cfg: cfg, cluster: c, rnd: rand.New(rand.NewPCG(cfg.Seed, 7))}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	if err := r.prepare(); err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	if err := r.workUnder(fault); err != nil {
		return nil, err
	}
	if err := r.finish(); err != nil {
		return nil, fmt.Errorf("finishing: %w", err)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return &History{Operations: len(r.history), Jobs: len(r.jobs), Accepted: len(r.accepted), Copies: int(r.copies.Load())}, nil
}

// run is one history in the making.
type run struct {
	cfg     Config
	cluster Cluster
	ctx     context.Context
	cancel  context.CancelCauseFunc

	publishers []*publisher
	hosts      []*host

	clock  atomic.Int64 // orders calls and returns
	now    atomic.Int64 // cluster time when the history began, as a node told it
	began  time.Time
	copies atomic.Int64
	errs   []error // under mu

	mu       sync.Mutex
	rnd      *rand.Rand
	jobs     []*job
	history  []porcupine.Operation
	accepted []result
	attempts map[task.AttemptID]given // handed out, ever
}

// result is one that was acknowledged as accepted.
type result struct {
	job   *job
	index int
	host  int
}

// each runs f for all of n clients at once, and joins their errors.
func (r *run) each(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// prepare makes the parties known.
func (r *run) prepare() error {
	r.attempts = map[task.AttemptID]given{}
	for i := range publishers {
		r.publishers = append(r.publishers, &publisher{party: r.newParty("publisher", i), number: i, project: fmt.Sprintf("project-%d-%d", r.cfg.Seed, i)})
	}
	for i := range maxHosts {
		r.hosts = append(r.hosts, &host{party: r.newParty("host", i), number: i, account: r.newParty("account", i).key, gaveUp: map[place]bool{}})
	}
	v, err := r.publishers[0].view(r.ctx)
	if err != nil {
		return err
	}
	r.began = time.Now()
	r.now.Store(int64(v.Time))
	return r.each(publishers+maxHosts, func(i int) error {
		if i < publishers {
			return r.publishers[i].open(r.ctx)
		}
		return r.hosts[i-publishers].enrol(r.ctx)
	})
}

// workUnder lets all clients begin their operations while the fault goes on.
func (r *run) workUnder(fault func(context.Context) error) error {
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	done := make(chan error, 1)
	go func() {
		ended := errors.New("it gave up, see above") // a test that fails ends its goroutine
		defer func() { done <- ended }()
		ended = fault(ctx)
	}()
	err := r.each(publishers+maxHosts, func(i int) error {
		if i < publishers {
			return r.publishers[i].work(ctx)
		}
		return r.hosts[i-publishers].work(ctx)
	})
	stop()
	if e := <-done; e != nil {
		err = errors.Join(err, fmt.Errorf("fault: %w", e))
	}
	return err
}

// finish lets the hosts go on until every job has ended.
func (r *run) finish() error {
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	return r.each(len(r.hosts), func(i int) error {
		for {
			ended, err := r.allEnded(ctx, r.hosts[i].party)
			if ended || err != nil {
				return err
			}
			if err := r.hosts[i].exchange(ctx, true); err != nil {
				return err
			}
			if err := r.hosts[i].rest(ctx); err != nil {
				return fmt.Errorf("jobs did not end within %s", patience)
			}
		}
	})
}

func (r *run) allEnded(ctx context.Context, p *party) (bool, error) {
	var views []protocol.JobView
	if err := p.getJSON(ctx, protocol.PathJobs, &views, nil); err != nil {
		return false, err
	}
	for _, v := range views {
		if j := r.jobByID(v.Job); j != nil && v.State == "running" {
			return false, nil
		}
	}
	return true, nil
}

// record adds an operation that began at a time of the clock.
func (r *run) record(client int, call int64, o operation, a answer) {
	back := r.clock.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{ClientId: client, Input: o, Call: call, Output: a, Return: back})
}

func (r *run) jobByID(id task.JobID) *job {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.jobs {
		if j.id == id {
			return j
		}
	}
	return nil
}

// behind is how far behind the node that told the time may have been.
const behind = 2 * time.Minute

// checkTime compares cluster time with the time that has passed (R5).
func (r *run) checkTime(now task.Millis) {
	passed := time.Duration(int64(now)-r.now.Load()) * time.Millisecond
	if most := time.Since(r.began) + behind; passed > most && !r.cfg.Expiry {
		r.problem("R5: cluster time moved by %s, and no more than %s can have passed", passed, most)
	}
}

// problem notes what must never be, in an answer.
func (r *run) problem(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.errs) < 20 {
		r.errs = append(r.errs, fmt.Errorf(format, args...))
	}
}
