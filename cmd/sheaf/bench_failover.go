package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/internal/usage"
	"github.com/sheafgrid/sheaf/protocol"
)

type benchFailoverCommand struct {
	loadFlags `embed:""`
	Rounds    int     `help:"How often the leader is killed." default:"10"`
	Batch     int     `help:"Tasks that a host asks for, and reports, in one exchange." default:"1"`
	Rate      float64 `help:"Exchanges a second, of all hosts together; 0: as many as the cluster takes." default:"100"`
}

// Help is printed below the flags.
func (*benchFailoverCommand) Help() string {
	return `Example:

    sheaf bench failover --rounds 10 --json

Three coordinators on this machine, each a process of its own with fsync on, under a steady load of simulated hosts. In each round the leader is killed with SIGKILL, and the longest time is taken in which no report was accepted, from the last before it to the first after it. Then the coordinator is started again and has to catch up.

The time cannot be told more finely than reports come: with 100 exchanges a second, to about 10 ms. Hosts ask all coordinators in turn, every 20 ms each; a volunteer's client asks less often, and loses more time.

In the end everything that was handed out is reported, every report that was acknowledged is looked for, and a thousand outputs drawn at random are fetched and compared. Exit code 1 unless everything is accounted for.`
}

// failoverResult is the last line of --json.
type failoverResult struct {
	OK          bool      `json:"ok"`
	P50         float64   `json:"leaderless_ms_p50"`
	Max         float64   `json:"leaderless_ms_max"`
	AckedLost   uint64    `json:"acked_lost"`
	Twice       uint64    `json:"credited_twice"`
	Rounds      int       `json:"rounds"` // completed
	Each        []float64 `json:"leaderless_ms"`
	CatchUpP50  float64   `json:"catch_up_ms_p50"` // from the start of the killed coordinator until it had everything
	CatchUpMax  float64   `json:"catch_up_ms_max"`
	Undisturbed float64   `json:"undisturbed_ms_max"` // the longest time without an accepted report while nobody was killed
	Rate        float64   `json:"exchanges_per_s"`    // asked for; 0: as many as possible
	Steal       *float64  `json:"steal_percent"`
	Nodes       int       `json:"nodes"`
	Batch       int       `json:"batch"`
	Hosts       int       `json:"hosts"`
	Seconds     float64   `json:"seconds"`
	accounting
	Problems []string `json:"problems,omitempty"`
}

// Times around a kill.
const (
	calm      = 2 * time.Second // load before each kill
	leadLimit = 30 * time.Second
)

// Run kills leaders.
func (c *benchFailoverCommand) Run(a *app) error {
	if err := errors.Join(inRange("--rounds", int64(c.Rounds), 1, 10_000, "rounds"), inRange("--nodes", int64(c.Nodes), 3, 9, "coordinators")); err != nil {
		return err
	}
	if c.Rate < 0 || c.Rate > 1e6 {
		return failure{fmt.Errorf("--rate %g: want 0 to 1000000 exchanges a second", c.Rate), exitUsage}
	}
	b, done, err := newLoadBench(a, c.loadFlags, c.Batch)
	if err != nil {
		return err
	}
	defer done()
	if err := b.prepare(a.ctx); err != nil {
		return err
	}
	t := &failoverTest{loadBench: b}
	from, fromErr := usage.Now()
	began := time.Now()
	if err := t.run(a.ctx, c.Rounds, c.Rate); err != nil {
		return err
	}
	r := c.result(t)
	r.Seconds = round(time.Since(began).Seconds(), 1)
	if to, err := usage.Now(); errors.Join(err, fromErr) == nil {
		r.Steal = pointer(usage.StealPercent(from, to))
	}
	if err := b.settle(a.ctx); err != nil {
		return err
	}
	r.accounting, r.Problems = b.account, b.problems
	r.AckedLost, r.Twice = b.account.Lost, b.account.Twice
	r.OK = b.ok() && r.Rounds == c.Rounds
	c.report(b, r)
	if !r.OK {
		return failure{code: exitFailed} // it was told already
	}
	return nil
}

func (c *benchFailoverCommand) result(t *failoverTest) *failoverResult {
	return &failoverResult{
		P50: median(t.leaderless), Max: highest(t.leaderless), Rounds: len(t.catchUp), Each: t.leaderless,
		CatchUpP50: median(t.catchUp), CatchUpMax: highest(t.catchUp), Undisturbed: highest(t.undisturbed),
		Rate: c.Rate, Nodes: c.Nodes, Batch: c.Batch, Hosts: c.Hosts,
	}
}

// failoverTest kills leaders under load. Times are in milliseconds, one a round.
type failoverTest struct {
	*loadBench
	leaderless  []float64
	catchUp     []float64
	undisturbed []float64
}

// run kills the leader in each round, while the hosts go on.
func (t *failoverTest) run(ctx context.Context, rounds int, rate float64) error {
	g, ctx := errgroup.WithContext(ctx)
	stop := make(chan struct{})
	g.Go(func() error { return t.load.Run(ctx, rate, stop) })
	g.Go(func() error {
		defer close(stop)
		// A silence is counted from a report on.
		if err := t.waitFor(ctx, leadLimit, "the first reports to be accepted", func() bool { return t.load.Counts().Accepted > 0 }); err != nil {
			return err
		}
		for i := range rounds {
			if err := t.round(ctx); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				t.problem("round %d: %v", i+1, err)
				return nil // what was accepted so far can still be accounted for
			}
			t.say("Round %2d: no report was accepted for %.0f ms; the killed coordinator had caught up after %.0f ms", i+1, t.leaderless[i], t.catchUp[i])
		}
		return nil
	})
	return g.Wait()
}

func (t *failoverTest) round(ctx context.Context) error {
	t.load.ListenForSilence()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(calm):
	}
	lead := t.leader()
	if lead == nil {
		return errors.New("no coordinator leads, and none was killed")
	}
	t.undisturbed = append(t.undisturbed, millis(t.load.Silence()))
	t.load.ListenForSilence()
	lead.kill()
	if err := t.waitFor(ctx, leadLimit, "another coordinator to lead", func() bool {
		next := t.leader()
		return next != nil && next != lead
	}); err != nil {
		return err
	}
	// The new leader answers by now. Some more reports show that it goes on.
	enough := t.load.Counts().Accepted + uint64(2*t.flags.Hosts)
	if err := t.waitFor(ctx, leadLimit, "reports to be accepted again", func() bool {
		return t.load.Counts().Accepted >= enough
	}); err != nil {
		return err
	}
	t.leaderless = append(t.leaderless, millis(t.load.Silence()))
	return t.restart(ctx, lead)
}

// restart starts the killed coordinator and waits until it has what the leader
// had at some time after that.
func (t *failoverTest) restart(ctx context.Context, p *process) error {
	began := time.Now()
	if err := t.fleet.start(p); err != nil {
		return err
	}
	if err := t.untilCaughtUp(ctx, p, leadLimit); err != nil {
		return t.explain(p, err)
	}
	if !p.running() {
		return fmt.Errorf("%s was killed as leader, and ended by itself when it was started again: %s", p.name, lastWords(p.log))
	}
	t.catchUp = append(t.catchUp, millis(time.Since(began)))
	return nil
}

// untilCaughtUp waits until a coordinator has applied what the leader had at one time
// after the call, or has ended. What the leader has now, a follower has a moment
// later.
func (f *fleet) untilCaughtUp(ctx context.Context, p *process, limit time.Duration) error {
	var own, leads protocol.NodeView
	err := f.waitFor(ctx, limit, p.name+" to catch up", func() bool {
		if !p.running() {
			return true
		}
		if lead := f.leader(); leads.Applied == 0 && (lead == nil || f.getJSON(lead.url, protocol.PathNode, &leads) != nil) {
			return false
		}
		return f.getJSON(p.url, protocol.PathNode, &own) == nil && own.Leader != "" && own.Applied >= leads.Applied
	})
	if err != nil {
		return fmt.Errorf("%w: it has entry %d, the leader had %d", err, own.Applied, leads.Applied)
	}
	return nil
}

// lastWords is why a process ended, from the file it logged to.
func lastWords(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	last := ""
	for line := range strings.Lines(string(b)) {
		for _, sign := range []string{"panic: ", "fatal error: ", "sheaf: "} {
			if strings.HasPrefix(line, sign) {
				last = strings.TrimSpace(line)
			}
		}
	}
	return last
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[(len(s)-1)/2]
}

func highest(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return slices.Max(v)
}

func (c *benchFailoverCommand) report(b *loadBench, r *failoverResult) {
	if b.json {
		b.print(r)
		return
	}
	b.say("")
	b.say("%s, %s, leader killed %d times:", plural(r.Nodes, "coordinator"), plural(r.Hosts, "simulated host"), r.Rounds)
	b.say("  without a leader          %.0f ms (median), %.0f ms (longest)", r.P50, r.Max)
	b.say("  without a report at rest  %.0f ms (longest)", r.Undisturbed)
	b.say("  caught up after a start   %.0f ms (median), %.0f ms (longest)", r.CatchUpP50, r.CatchUpMax)
	b.say("  requests sent again       %d", r.Repeated)
	b.sayAccount()
	b.saySteal(r.Steal)
	if r.OK {
		b.say("Everything is accounted for.")
	}
}
