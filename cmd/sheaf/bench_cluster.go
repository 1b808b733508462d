package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/internal/usage"
	"github.com/sheafgrid/sheaf/loadgen"
	"github.com/sheafgrid/sheaf/protocol"
)

type benchClusterCommand struct {
	loadFlags  `embed:""`
	Batch      int     `help:"Tasks that a host asks for, and reports, in one exchange." default:"32"`
	Seconds    int     `help:"How long to measure." default:"20"`
	Load       float64 `help:"Part of what the cluster can take; below 1 as long again is spent before to find out how much that is, and then latency is measured at a steady pace." default:"1.0"`
	CPUProfile string  `help:"Folder for CPU profiles of the measured time: of this program, and of each coordinator where perf is installed." name:"cpuprofile" type:"path" placeholder:"DIR"`
}

// Help is printed below the flags.
func (*benchClusterCommand) Help() string {
	return `Example: what can three coordinators on this machine take, and how long does an answer take at half of that?

    sheaf bench cluster --nodes 3 --batch 32 --seconds 20
    sheaf bench cluster --nodes 3 --batch 32 --seconds 20 --load 0.5

Starts coordinators on loopback, each a process of its own with fsync on, and simulates hosts that exchange with the leader: signed and numbered requests, one on its way for each host, with an output of 64 bytes for each task. No program is run, so what is measured is the coordinators, and what this program takes to load them: it shares the machine with them, and its CPU counts.

At --load 1.0 a host exchanges again as soon as it was answered. It does not obey the pause that coordinators ask volunteers for (after_millis): a real host calls at most ten times a second. Below 1.0 the cluster is first loaded for as long as is measured with all that it can take, and for 10 s with the part that is asked for. Hosts keep a pace then; an exchange that is late because the last one took long counts from when it was due. A host that coordinators send away because they have too much to do comes back when they say; that wait is not in the latencies.

In the end everything that was handed out is reported, every report that was acknowledged is looked for in what the cluster shows, and a thousand outputs drawn at random are fetched and compared. Exit code 1 unless everything is accounted for.

Where the machine is a guest whose host takes processors away (steal), the figures say little: above 5 % they do not count.`
}

// clusterResult is the last line of --json.
type clusterResult struct {
	OK          bool     `json:"ok"`
	PerSecond   float64  `json:"validated_tasks_per_s"`
	Exchanges   float64  `json:"exchanges_per_s"`
	CPU         *float64 `json:"cpu_us_per_task"`      // of all coordinators and this program
	LoadCPU     *float64 `json:"load_cpu_us_per_task"` // of this program alone
	P50         float64  `json:"p50_ms"`
	P99         float64  `json:"p99_ms"`
	SentAway    float64  `json:"sent_away_per_s"` // exchanges that a coordinator had no time for
	RSS         []int64  `json:"rss_mb"`          // of each coordinator
	LogMB       int64    `json:"log_mb"`          // the largest of the coordinators' logs, room made in advance included
	DataMB      int64    `json:"data_mb"`
	Steal       *float64 `json:"steal_percent"`
	OthersCPU   *float64 `json:"others_cpu_percent"` // what everything else on the machine took, of all processors
	Elections   uint64   `json:"elections"`          // while it was measured
	Nodes       int      `json:"nodes"`
	Replicate   int      `json:"replicate"`
	Batch       int      `json:"batch"`
	Hosts       int      `json:"hosts"`
	Seconds     float64  `json:"seconds"`
	Load        float64  `json:"load"`
	Calibration float64  `json:"calibrated_exchanges_per_s,omitempty"` // with load below 1: the most that the cluster took
	accounting
	Problems []string `json:"problems,omitempty"`
}

// How long a load runs before it is measured. In its first ten seconds a cluster takes
// a tenth more than it can for long, so that what it can take is found out for as long
// as is measured; after all that it can take, it seals, drops and copies together for
// some seconds what that has left (blobs rest for 5 s first).
const (
	warmUp           = 2 * time.Second
	calibrateAtLeast = 10 * time.Second
	calmDown         = 10 * time.Second
)

// Run measures a cluster.
func (c *benchClusterCommand) Run(a *app) error {
	if err := errors.Join(inRange("--seconds", int64(c.Seconds), 1, 3600, "s"), checkLoad(c.Load)); err != nil {
		return err
	}
	b, done, err := newLoadBench(a, c.loadFlags, c.Batch)
	if err != nil {
		return err
	}
	defer done()
	if err := b.prepare(a.ctx); err != nil {
		return err
	}
	r := &clusterResult{
		Nodes: c.Nodes, Replicate: c.Replicate, Batch: c.Batch, Hosts: c.Hosts, Load: c.Load,
	}
	if err := c.measure(a.ctx, b, r); err != nil {
		return err
	}
	if err := b.settle(a.ctx); err != nil {
		return err
	}
	r.OK, r.accounting, r.Problems = b.ok(), b.account, b.problems
	c.report(b, r)
	if !r.OK {
		return failure{code: exitFailed} // it was told already
	}
	return nil
}

func checkLoad(load float64) error {
	if load > 0 && load <= 1 {
		return nil
	}
	return failure{fmt.Errorf("--load %g: want a part, above 0 and at most 1", load), exitUsage}
}

// measure warms the cluster up, finds its pace, and measures.
func (c *benchClusterCommand) measure(ctx context.Context, b *loadBench, r *clusterResult) error {
	if err := b.runLoad(ctx, 0, min(warmUp, time.Duration(c.Seconds)*time.Second), nil); err != nil {
		return err
	}
	rate := 0.0
	if c.Load < 1 {
		calibrate := max(calibrateAtLeast, time.Duration(c.Seconds)*time.Second)
		b.say("Finding out for %s what the cluster can take", durationText(calibrate))
		before, began := b.load.Counts(), time.Now()
		if err := b.runLoad(ctx, 0, calibrate, nil); err != nil {
			return err
		}
		r.Calibration = round(float64(b.load.Counts().Exchanges-before.Exchanges)/time.Since(began).Seconds(), 1)
		rate = c.Load * r.Calibration
		b.say("It took %.0f exchanges a second; now %.0f", r.Calibration, rate)
		if err := b.runLoad(ctx, rate, calmDown, nil); err != nil {
			return err
		}
	}
	b.load.TakeLatencies()
	var from, to sample
	if err := b.runLoad(ctx, rate, time.Duration(c.Seconds)*time.Second, func(ctx context.Context, stop <-chan time.Time) (err error) {
		if from, err = b.sample(); err != nil {
			return err
		}
		stopProfiles, err := b.profile(ctx, c.CPUProfile)
		if err != nil {
			return err
		}
		err = b.progress(ctx, stop, from)
		if err = errors.Join(err, stopProfiles()); err != nil {
			return err
		}
		to, err = b.sample()
		return err
	}); err != nil {
		return err
	}
	latencies := b.load.TakeLatencies()
	r.P50, r.P99 = millis(latencies.Quantile(0.5)), millis(latencies.Quantile(0.99))
	return r.between(b, from, to)
}

// runLoad runs the hosts for a time, beside during, where it is not nil.
func (b *loadBench) runLoad(ctx context.Context, rate float64, d time.Duration, during func(context.Context, <-chan time.Time) error) error {
	g, ctx := errgroup.WithContext(ctx)
	stop := make(chan struct{})
	g.Go(func() error { return b.load.Run(ctx, rate, stop) })
	g.Go(func() error {
		defer close(stop)
		timer := time.After(d)
		if during != nil {
			return during(ctx, timer)
		}
		select {
		case <-timer:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return g.Wait()
}

// progress shows each second how many tasks were validated in it.
func (b *loadBench) progress(ctx context.Context, stop <-chan time.Time, from sample) error {
	_, terminal := b.terminal()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, lastAt := from.validated, from.at
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stop:
			if terminal {
				fmt.Fprint(b.stdout, "\r\x1b[K")
			}
			return nil
		case <-tick.C:
			if !terminal {
				continue
			}
			n, err := b.validated(from.url)
			if err != nil {
				continue // between two leaders there is nobody to ask
			}
			now := time.Now()
			fmt.Fprintf(b.stdout, "\r\x1b[K  %3.0f s  %.0f tasks/s", now.Sub(from.at).Seconds(), float64(n-last)/now.Sub(lastAt).Seconds())
			last, lastAt = n, now
		}
	}
}

// sample is how everything stands at one moment.
type sample struct {
	at        time.Time
	url       string // of the coordinator that leads
	term      uint64
	validated uint64
	counts    loadgen.Counts
	machine   usage.Machine
	self      usage.Usage
	nodes     []usage.Usage
	usage     bool // machine, self and nodes are known
}

func (b *loadBench) sample() (s sample, err error) {
	lead := b.leader()
	if lead == nil {
		return s, errNoLeader
	}
	var node protocol.NodeView
	if err := b.getJSON(lead.url, protocol.PathNode, &node); err != nil {
		return s, err
	}
	s.url, s.term = lead.url, node.Term
	if s.validated, err = b.validated(lead.url); err != nil {
		return s, err
	}
	s.at, s.counts = time.Now(), b.load.Counts()
	var errs [3]error
	s.machine, errs[0] = usage.Now()
	s.self, errs[1] = usage.Of(os.Getpid())
	for _, p := range b.coordinators {
		u, err := usage.Of(p.cmd.Process.Pid)
		s.nodes, errs[2] = append(s.nodes, u), errors.Join(errs[2], err)
	}
	s.usage = errors.Join(errs[:]...) == nil // not every system says
	return s, nil
}

// between fills in what was measured from one moment to another.
func (r *clusterResult) between(b *loadBench, from, to sample) error {
	seconds := to.at.Sub(from.at).Seconds()
	tasks := float64(to.validated - from.validated)
	r.Seconds = round(seconds, 2)
	r.PerSecond = round(tasks/seconds, 1)
	r.Exchanges = round(float64(to.counts.Exchanges-from.counts.Exchanges)/seconds, 1)
	r.SentAway = round(float64(to.counts.SentAway-from.counts.SentAway)/seconds, 1)
	r.Elections = to.term - from.term
	if from.usage && to.usage && tasks > 0 {
		own := to.self.CPU - from.self.CPU
		all := own
		for i := range to.nodes {
			all += to.nodes[i].CPU - from.nodes[i].CPU
			r.RSS = append(r.RSS, to.nodes[i].Resident/1e6)
		}
		r.CPU, r.LoadCPU = pointer(float64(all.Microseconds())/tasks), pointer(float64(own.Microseconds())/tasks)
		r.Steal = pointer(usage.StealPercent(from.machine, to.machine))
		r.OthersCPU = pointer(max(0, usage.BusyPercent(from.machine, to.machine)-usage.PercentOf(all, from.machine, to.machine)))
	}
	for _, p := range b.coordinators {
		log, err := fsutil.Size(filepath.Join(b.dir, p.name, "raft"))
		if err != nil {
			return err
		}
		data, err := fsutil.Size(filepath.Join(b.dir, p.name))
		if err != nil {
			return err
		}
		r.LogMB, r.DataMB = max(r.LogMB, log/1e6), max(r.DataMB, data/1e6)
	}
	return nil
}

func pointer(v float64) *float64 {
	v = round(v, 2)
	return &v
}

func round(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(v*p) / p
}

func millis(d time.Duration) float64 { return round(float64(d.Microseconds())/1000, 2) }

// maxSteal is the steal, in percent, above which figures do not count.
const maxSteal = 5

// saySteal tells a person whether the figures count.
func (b *loadBench) saySteal(percent *float64) {
	switch {
	case percent == nil:
	case *percent > maxSteal:
		b.say("  steal                     %.1f %%: this machine's host took too much away; the figures DO NOT COUNT", *percent)
	default:
		b.say("  steal                     %.1f %%", *percent)
	}
}

func (c *benchClusterCommand) report(b *loadBench, r *clusterResult) {
	if b.json {
		b.print(r)
		return
	}
	b.say("")
	b.say("%s, %s, each task by %d, %d tasks an exchange, %.0f s at load %g:",
		plural(r.Nodes, "coordinator"), plural(r.Hosts, "simulated host"), r.Replicate, r.Batch, r.Seconds, r.Load)
	b.say("  validated                 %.0f tasks/s", r.PerSecond)
	b.say("  exchanges                 %.0f a second; p50 %.1f ms, p99 %.1f ms", r.Exchanges, r.P50, r.P99)
	if r.SentAway > 0 {
		b.say("  sent away                 %.0f a second, to come back when there is time for them", r.SentAway)
	}
	if r.CPU != nil {
		b.say("  CPU                       %.1f µs a task, of which the load itself %.1f µs", *r.CPU, *r.LoadCPU)
	}
	for i, n := range r.RSS {
		b.say("  memory of %-15s %d MB", b.coordinators[i].name, n)
	}
	b.say("  on each disk              %d MB, of which the log %d MB", r.DataMB, r.LogMB)
	if r.Elections > 0 {
		b.say("  elections meanwhile       %d", r.Elections)
	}
	b.sayAccount()
	b.saySteal(r.Steal)
	if r.OthersCPU != nil && *r.OthersCPU > maxSteal {
		b.say("  other programs            took %.0f %% of the processors: the figures are lower than they could be", *r.OthersCPU)
	}
	if r.OK {
		b.say("Everything is accounted for.")
	}
}
