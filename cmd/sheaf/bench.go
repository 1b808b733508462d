package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/examples"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

type benchCommand struct {
	Kill     benchKillCommand     `cmd:"" help:"Submit, kill -9 a random process at a random moment, start it again, complete; and count what was lost."`
	Cluster  benchClusterCommand  `cmd:"" help:"Measure how many tasks a second a cluster on this machine can take, and how soon it answers."`
	State    benchStateCommand    `cmd:"" help:"Measure what a large job, a million live tasks and millions of finished ones take of a coordinator."`
	Failover benchFailoverCommand `cmd:"" help:"Measure how long a cluster on this machine is without a leader when its leader is killed."`
	Abuse    benchAbuseCommand    `cmd:"" help:"Attack a cluster on this machine with 10,000 half-open connections, slow and bad requests, and measure what honest clients notice."`
	Attack   benchAttackCommand   `cmd:"" hidden:""`
	Replace  benchReplaceCommand  `cmd:"" help:"Lose every coordinator with its disk, one after the other, put new ones in their places, and count what was lost."`
}

type benchKillCommand struct {
	Rounds int    `help:"How often." default:"20"`
	Seed   uint64 `help:"From which moments and victims are drawn; 0: from the clock." default:"0"`
}

// Help is printed below the flags.
func (*benchKillCommand) Help() string {
	return `Example:

    sheaf bench kill --rounds 20 --json

Three coordinators and three volunteers, each a process of its own, on this machine, with fsync on. In each round the example primes is submitted, and a process drawn at random, coordinator (the leader included) or volunteer, now and then all coordinators at once, is killed with SIGKILL at a random moment and started again. The job must complete with the known result; every report that a volunteer was told was accepted must be there in the end, nothing may be credited twice, and all coordinators must have equal states. Exit code 3 if not.`
}

// killResult is the last line of --json.
type killResult struct {
	OK            bool           `json:"ok"`
	Rounds        int            `json:"rounds"`
	Completed     int            `json:"completed"`
	LeadersKilled int            `json:"leaders_killed"`
	AllKilled     int            `json:"all_killed"` // rounds in which all coordinators were killed at once
	Victims       map[string]int `json:"victims"`
	Reports       int            `json:"reports"` // acknowledged to volunteers
	ReportsLost   int            `json:"reports_lost"`
	CreditedTwice int            `json:"credited_twice"`
	StatesEqual   int            `json:"states_equal"` // rounds after which they were
	Roots         int            `json:"roots"`        // different result roots: there should be one
	Seed          uint64         `json:"seed"`
	Seconds       float64        `json:"seconds"`
	Problems      []string       `json:"problems,omitempty"`
}

// Run runs the rounds.
func (c *benchKillCommand) Run(a *app) error {
	if c.Rounds < 1 {
		return failure{fmt.Errorf("--rounds %d: want at least 1", c.Rounds), exitUsage}
	}
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano())
	}
	dir, err := os.MkdirTemp("", "sheaf-kill-")
	if err != nil {
		return err
	}
	f, err := newFleet(dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		f.stop()
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintf(a.stderr, "sheaf: %v\n", err)
		}
	}()
	k := &killer{app: a, fleet: f, rnd: rand.New(rand.NewPCG(c.Seed, 1)), roots: map[task.Digest]bool{}}
	k.result = killResult{Rounds: c.Rounds, Seed: c.Seed, Victims: map[string]int{}}
	began := time.Now()
	if err := k.start(a.ctx); err != nil {
		return err
	}
	for i := range c.Rounds {
		if err := k.round(a.ctx, i+1); err != nil {
			if a.ctx.Err() != nil {
				return a.ctx.Err()
			}
			k.problem("round %d: %v", i+1, err)
			break
		}
	}
	r := &k.result
	r.Roots, r.Seconds = len(k.roots), time.Since(began).Round(100*time.Millisecond).Seconds()
	r.OK = len(r.Problems) == 0 && r.Completed == c.Rounds && r.ReportsLost == 0 && r.CreditedTwice == 0 && r.StatesEqual == c.Rounds && r.Roots == 1
	k.report()
	if !r.OK {
		return failure{code: exitInvalid} // it was told already
	}
	return nil
}

// killer torments a fleet.
type killer struct {
	*app
	*fleet
	rnd    *rand.Rand
	roots  map[task.Digest]bool
	result killResult
}

// killJob is the example primes with fewer and larger tasks, short deadlines
// and outputs that anyone can look up: pi(4·10^7) = 2,433,654.
const killJob = `name: primes
project: kill
program: examples/primes/count.wasm
args: ["{from}", "{to}"]
split: {range: {from: 0, to: 40000000, step: 500000}}
check: {replicate: 2, max_attempts: 50}
limits: {work: 1G, memory: 4MiB, output: 1KiB, wall: 10s, deadline: 10s}
reduce: {program: examples/primes/sum.wasm, fan_in: 16}
collect: concat
`

const killPrimes = "2433654"

func (k *killer) start(ctx context.Context) error {
	k.say("Starting three coordinators and three volunteers (seed %d)", k.result.Seed)
	if err := k.addCoordinators(ctx, 3); err != nil {
		return err
	}
	for _, name := range demoVolunteers[:3] {
		if _, err := k.addClient(name, "--cores", "1"); err != nil {
			return err
		}
	}
	if err := os.CopyFS(filepath.Join(k.dir, "examples"), examples.Files()); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(k.dir, "job.yaml"), []byte(killJob), 0o644)
}

// round submits a job, kills somebody, starts it again, and waits.
func (k *killer) round(ctx context.Context, n int) error {
	began := time.Now()
	id, err := k.submitJob(ctx, "job.yaml", filepath.Join(k.dir, "publisher.key"))
	if err != nil {
		return err
	}
	victim, role, err := k.killSomebody(ctx)
	if err != nil {
		return err
	}
	var job protocol.JobView
	if err := k.waitFor(ctx, 2*time.Minute, "the job to end", func() bool {
		return k.any(protocol.JobPath(id), &job) == nil && job.State != "running"
	}); err != nil {
		return fmt.Errorf("%w (%s)", err, job.WaitsFor)
	}
	if err := k.count(ctx, job); err != nil {
		return err
	}
	k.say("Round %2d: killed %s (%s); done after %s, %s", n, victim, role, durationText(time.Since(began)), job.ResultRoot.Short())
	return nil
}

// killSomebody waits a moment, kills a process, or all coordinators at once, and
// starts it again after another moment.
func (k *killer) killSomebody(ctx context.Context) (victim, role string, err error) {
	if err := k.pause(ctx, 2500*time.Millisecond); err != nil {
		return "", "", err
	}
	victims, role := k.choose()
	var names []string
	for _, p := range victims {
		p.kill()
		names = append(names, p.name)
		k.result.Victims[p.name]++
	}
	if err := k.pause(ctx, 1500*time.Millisecond); err != nil {
		return "", "", err
	}
	for _, p := range victims {
		if err := k.fleet.start(p); err != nil {
			return "", "", err
		}
	}
	return strings.Join(names, ", "), role, nil
}

// choose draws who is killed. One time in six it is all coordinators at once:
// then the cluster has nothing but its disks.
func (k *killer) choose() (victims []*process, role string) {
	if k.rnd.IntN(6) == 0 {
		k.result.AllKilled++
		return k.coordinators, "all coordinators at once"
	}
	all := append(append([]*process(nil), k.coordinators...), k.clients...)
	p := all[k.rnd.IntN(len(all))]
	switch {
	case p.url == "":
		return []*process{p}, "volunteer"
	case p == k.leader():
		k.result.LeadersKilled++
		return []*process{p}, "leader"
	}
	return []*process{p}, "follower"
}

// pause waits for a part of a time, drawn at random.
func (k *killer) pause(ctx context.Context, most time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(k.rnd.Int64N(int64(most)))):
		return nil
	}
}

// count compares what volunteers were told with what the cluster has.
func (k *killer) count(ctx context.Context, job protocol.JobView) error {
	if job.State == "done" && job.Levels[0].Failed == 0 {
		k.result.Completed++
	} else {
		k.problem("job %s ended %s with %d failed tasks", job.Job, job.State, job.Levels[0].Failed)
	}
	k.roots[job.ResultRoot] = true
	lost, twice, err := k.audit(job)
	if err != nil {
		return err
	}
	k.result.ReportsLost += len(lost)
	k.result.CreditedTwice += len(twice)
	for _, p := range append(lost, twice...) {
		k.problem("%s", p)
	}
	for _, p := range k.clients {
		lines, err := readTrail(p.trail)
		if err != nil {
			return err
		}
		for _, t := range lines {
			if t.Job == job.Job {
				k.result.Reports++
			}
		}
	}
	out := filepath.Join(k.dir, "out-"+job.Job.String())
	if _, err := k.command(ctx, "job", "fetch", job.Job.String(), "--out", out, "--server", strings.Join(k.urls(), ",")); err != nil {
		return err
	}
	if b, err := os.ReadFile(filepath.Join(out, "reduced", "stdout")); err != nil || !strings.Contains(string(b), ","+killPrimes+",") {
		k.problem("the result of job %s is %q (%v), want %s primes", job.Job, b, err, killPrimes)
	}
	equal, _, err := k.sameState(ctx)
	if equal {
		k.result.StatesEqual++
	} else {
		k.problem("after job %s the coordinators' states differ", job.Job)
	}
	return err
}

func (k *killer) problem(format string, args ...any) {
	k.result.Problems = append(k.result.Problems, fmt.Sprintf(format, args...))
	k.say("PROBLEM: "+format, args...)
}

func (k *killer) report() {
	r := &k.result
	if k.json {
		k.print(r)
		return
	}
	k.say("")
	k.say("%d of %d rounds completed; %d leaders killed, all coordinators at once %d times; %d accepted reports, %d lost; %d credited twice; states equal after %d; %s; %s.",
		r.Completed, r.Rounds, r.LeadersKilled, r.AllKilled, r.Reports, r.ReportsLost, r.CreditedTwice, r.StatesEqual, plural(r.Roots, "result root"), durationText(time.Duration(r.Seconds*float64(time.Second))))
}
