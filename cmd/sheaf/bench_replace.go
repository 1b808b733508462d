package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/examples"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

type benchReplaceCommand struct {
	Times int    `help:"How often each coordinator is lost with its disk, and replaced by a new one." default:"2"`
	Tasks uint64 `help:"Tasks of the job, in whole chunks of 4096." default:"8192"`
	Hosts int    `help:"Simulated hosts, each of an account of its own." default:"16"`
	Seed  uint64 `help:"From which the moments of losses are drawn; 0: from the clock." default:"0"`
	Dir   string `help:"Folder for the coordinators' data. Default: where the system keeps temporary files." type:"path" placeholder:"DIR"`
}

// Help is printed below the flags.
func (*benchReplaceCommand) Help() string {
	return `Example:

    sheaf bench replace --times 2 --json

Three coordinators on this machine, each a process of its own with fsync on, under the load of simulated hosts, which return outputs of 100 bytes, of up to 300 KiB, and some of 1.5 MiB. One after the other the coordinators, leaders too, are killed with SIGKILL at a random moment, their folders are deleted, and new ones take their places, until each was replaced so often. No disk of the beginning is left then.

In the end every report that a host was told is accepted is looked for, one coordinator more is killed, and the output of every task is fetched from the other two and compared. Exit code 3 unless everything is there.`
}

// replaceResult is the last line of --json.
type replaceResult struct {
	OK         bool      `json:"ok"`
	Replaced   int       `json:"replaced"` // coordinators
	Leaders    int       `json:"leaders"`  // of them
	Tasks      uint64    `json:"tasks"`
	Large      uint64    `json:"large"`           // of the tasks: those with an output above 64 KiB
	Reports    uint64    `json:"reports"`         // that hosts were told are accepted
	During     uint64    `json:"reports_during"`  // of them, those while coordinators were being replaced
	Uploads    uint64    `json:"uploads"`         // outputs that were accepted before their report
	Lost       int       `json:"acked_lost"`      // accepted reports that the cluster does not have
	Refused    uint64    `json:"refused"`         // reports that were refused, as if an accepted upload had gone
	Fetched    uint64    `json:"outputs_fetched"` // and equal to what was returned
	Missing    uint64    `json:"outputs_missing"` // not to be had, or others
	Each       []float64 `json:"replace_s"`       // from the loss until the new one had its vote
	P50        float64   `json:"replace_s_p50"`
	Max        float64   `json:"replace_s_max"`
	Equal      bool      `json:"states_equal"`
	ResultRoot string    `json:"result_root"`
	Seed       uint64    `json:"seed"`
	Seconds    float64   `json:"seconds"`
	Problems   []string  `json:"problems,omitempty"`
}

// replaceJob has outputs of all sizes, and deadlines that do not pass.
const replaceJob = `name: replace
project: replace
program: examples/primes/count.wasm
args: ["{from}", "{to}"]
split: {range: {from: 0, to: %d, step: 1}}
check: {replicate: 2, max_attempts: 50}
limits: {work: 1G, memory: 4MiB, output: 2MiB, wall: 10m, deadline: 1d}
`

// Run loses coordinators.
func (c *benchReplaceCommand) Run(a *app) error {
	if err := errors.Join(inRange("--times", int64(c.Times), 1, 1000, ""), inRange("--hosts", int64(c.Hosts), 2, 1000, "hosts"),
		inRange("--tasks", int64(min(c.Tasks, 1<<40)), 4096, 1<<20, "tasks")); err != nil {
		return err
	}
	c.Tasks = (c.Tasks + 4095) / 4096 * 4096
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano())
	}
	dir, err := os.MkdirTemp(c.Dir, "sheaf-replace-")
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
	t := &replaceTest{app: a, fleet: f, flags: c, rnd: rand.New(rand.NewPCG(c.Seed, 1)), result: replaceResult{Tasks: c.Tasks, Seed: c.Seed}}
	began := time.Now()
	if err := t.run(a.ctx); err != nil {
		return err
	}
	r := &t.result
	r.Seconds, r.P50, r.Max = round(time.Since(began).Seconds(), 1), median(r.Each), highest(r.Each)
	r.OK = len(r.Problems) == 0 && r.Replaced == 3*c.Times && r.Lost == 0 && r.Refused == 0 && r.Fetched == r.Tasks && r.Equal
	t.report()
	if !r.OK {
		return failure{code: exitInvalid} // it was told already
	}
	return nil
}

// replaceTest is a cluster whose coordinators are lost.
type replaceTest struct {
	*app
	*fleet
	flags  *benchReplaceCommand
	rnd    *rand.Rand
	hosts  []*replaceHost
	job    task.JobID
	result replaceResult

	hurry atomic.Bool // the coordinators are replaced; the hosts may finish
}

func (t *replaceTest) problem(format string, args ...any) {
	t.result.Problems = append(t.result.Problems, fmt.Sprintf(format, args...))
}

func (t *replaceTest) run(ctx context.Context) error {
	t.say("Starting three coordinators and %s (seed %d)", plural(t.flags.Hosts, "simulated host"), t.flags.Seed)
	if err := t.addCoordinators(ctx, 3); err != nil {
		return err
	}
	if err := t.submit(ctx); err != nil {
		return err
	}
	if err := t.underLoad(ctx); err != nil {
		return err
	}
	t.say("Accounting for %s", plural(t.result.Reports, "accepted report"))
	if err := t.audit(); err != nil {
		return err
	}
	var err error
	if t.result.Equal, _, err = t.sameState(ctx); !t.result.Equal {
		t.problem("R3: the coordinators' states differ (%v)", err)
	}
	victim := t.coordinators[t.rnd.IntN(3)]
	t.say("Killing %s, and fetching the output of every task from the others", victim.name)
	victim.kill()
	return t.fetchAll(ctx)
}

func (t *replaceTest) submit(ctx context.Context) error {
	if err := os.CopyFS(filepath.Join(t.dir, "examples"), examples.Files()); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(t.dir, "job.yaml"), fmt.Appendf(nil, replaceJob, t.flags.Tasks), 0o644); err != nil {
		return err
	}
	var err error
	t.job, err = t.submitJob(ctx, "job.yaml", filepath.Join(t.dir, "publisher.key"))
	return err
}

// underLoad replaces the coordinators while hosts compute, and waits until the
// job is done.
func (t *replaceTest) underLoad(ctx context.Context) error {
	for i := range t.flags.Hosts {
		h, err := t.newHost(ctx, i)
		if err != nil {
			return err
		}
		t.hosts = append(t.hosts, h)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	for _, h := range t.hosts {
		g.Go(func() error { return h.run(ctx) })
	}
	g.Go(func() error {
		err := t.replaceAll(ctx)
		if err != nil {
			cancel() // the hosts would wait for ever
		}
		return err
	})
	err := g.Wait()
	for _, h := range t.hosts {
		t.result.Reports += uint64(len(h.receipts))
		t.result.Uploads += h.uploads
		t.result.Refused += h.refused
	}
	return err
}

// replaceAll replaces each coordinator as often as is wanted.
func (t *replaceTest) replaceAll(ctx context.Context) error {
	number := 3
	before := t.accepted()
	for range t.flags.Times {
		for _, i := range t.rnd.Perm(3) {
			number++
			if err := t.replace(ctx, i, fmt.Sprintf("n%d", number)); err != nil {
				return fmt.Errorf("replacement %d: %w", t.result.Replaced+1, err)
			}
		}
	}
	t.result.During = t.accepted() - before
	t.hurry.Store(true)
	t.say("All disks of the beginning are gone; %d reports were accepted meanwhile. Waiting for the job to be done", t.result.During)
	return nil
}

func (t *replaceTest) accepted() (n uint64) {
	for _, h := range t.hosts {
		n += h.accepted.Load()
	}
	return n
}

// replace loses one coordinator with its disk and puts another into its place.
func (t *replaceTest) replace(ctx context.Context, i int, name string) error {
	select { // some load first
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(500+t.rnd.IntN(1500)) * time.Millisecond):
	}
	lost := t.coordinators[i]
	led := t.leader() == lost
	lost.kill()
	began := time.Now()
	if err := os.RemoveAll(filepath.Join(t.dir, lost.name)); err != nil {
		return err
	}
	if err := t.replaceCoordinator(ctx, i, name); err != nil {
		return err
	}
	seconds := round(time.Since(began).Seconds(), 2)
	t.result.Replaced++
	t.result.Each = append(t.result.Each, seconds)
	role := "a follower"
	if led {
		t.result.Leaders++
		role = "the leader"
	}
	t.say("Lost %s, %s, with its disk; %s had its vote after %.1f s (%d reports so far)", lost.name, role, name, seconds, t.accepted())
	return nil
}

// audit looks for every accepted report in what the cluster shows.
func (t *replaceTest) audit() error {
	type place struct {
		index uint64
		host  task.Key
	}
	have := map[place]task.Digest{}
	for from, done := uint64(0), false; !done; {
		var page protocol.AttemptPage
		if err := t.any(protocol.AttemptsPath(t.job, 0, from, protocol.MaxPage), &page); err != nil {
			return err
		}
		for _, a := range page.Attempts {
			if a.State == "valid" || a.State == "reported" {
				have[place{a.Index, a.Host}] = a.Output
			}
		}
		from, done = page.Next, page.Done
	}
	for _, h := range t.hosts {
		for index, output := range h.receipts {
			if got, ok := have[place{index, h.public}]; !ok || got != output {
				if t.result.Lost++; t.result.Lost <= 10 {
					t.problem("R1: the result of task %d by %s was accepted, and is gone (%s, want %s)", index, h.name, got.Short(), output.Short())
				}
			}
		}
	}
	var job protocol.JobView
	err := t.any(protocol.JobPath(t.job), &job)
	t.result.ResultRoot = job.ResultRoot.String()
	return err
}

// fetchAll fetches the output of every task and compares it.
func (t *replaceTest) fetchAll(ctx context.Context) error {
	var left []*process
	for _, p := range t.coordinators {
		if p.running() {
			left = append(left, p)
		}
	}
	if err := t.waitFor(ctx, 30*time.Second, "the other two to have a leader", func() bool { return t.leader() != nil }); err != nil {
		return err
	}
	spec, err := t.jobSpec(left[0].url, t.job)
	if err != nil {
		return err
	}
	for i := range t.result.Tasks {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		made, err := spec.Task(t.job, 0, i, nil)
		if err != nil {
			return err
		}
		want := replaceOutput(i, made.Sum())
		if len(want) > protocol.MaxInline {
			t.result.Large++
		}
		got, err := t.fetch(left[i%2].url + protocol.OutputPath(t.job, 0, i, 0))
		if err == nil && bytes.Equal(got, want) {
			t.result.Fetched++
			continue
		}
		if t.result.Missing++; t.result.Missing <= 10 {
			t.problem("the output of task %d (%d bytes) is not there: %d bytes came, %v", i, len(want), len(got), err)
		}
	}
	return nil
}

func (t *replaceTest) fetch(url string) ([]byte, error) {
	res, err := t.http.Get(url)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, bytes.TrimSpace(body))
	}
	return body, err
}

func (t *replaceTest) report() {
	r := &t.result
	if t.json {
		t.print(r)
		return
	}
	t.say("")
	t.say("%s replaced, %d of them while leading, in %.1f s (median), %.1f s (longest):", plural(r.Replaced, "coordinator"), r.Leaders, r.P50, r.Max)
	t.say("  reports accepted          %d, %d of them meanwhile; %d outputs uploaded before", r.Reports, r.During, r.Uploads)
	t.say("  accepted reports lost     %d; refused %d", r.Lost, r.Refused)
	t.say("  outputs fetched           %d of %d, %d of them above 64 KiB", r.Fetched, r.Tasks, r.Large)
	t.say("  coordinators' states      %s", map[bool]string{true: "equal", false: "DIFFERENT"}[r.Equal])
	for _, p := range slices.Compact(r.Problems) {
		t.say("PROBLEM: %s", p)
	}
	if r.OK {
		t.say("Nothing that was acknowledged is lost.")
	}
}
