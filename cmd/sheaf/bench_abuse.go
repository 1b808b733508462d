package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/internal/gate"
	"github.com/sheafgrid/sheaf/internal/usage"
)

type benchAbuseCommand struct {
	Connections int     `help:"Connections that say nothing, or half of a request's head, to hold open at a time." default:"10000"`
	Slow        int     `help:"Connections of each slow kind: heads, bodies and uploads by the byte, answers that nobody reads." default:"200"`
	Bad         float64 `help:"Bad requests a second, of all kinds together." default:"100"`
	Seconds     int     `help:"How long to measure, quiet and under attack, each." default:"20"`
	Rate        float64 `help:"Exchanges a second of honest hosts, all together." default:"100"`
	Hosts       int     `help:"Honest simulated hosts, each of an account of its own." default:"64"`
	Batch       int     `help:"Tasks that a host asks for, and reports, in one exchange." default:"8"`
	Most        int     `help:"How many connections each coordinator lets in (its flag --max-connections)." name:"max-connections" default:"8192"`
	Dir         string  `help:"Folder for the coordinators' data. Default: where the system keeps temporary files." type:"path" placeholder:"DIR"`
}

// Help is printed below the flags.
func (*benchAbuseCommand) Help() string {
	return `Example:

    sheaf bench abuse --connections 10000 --json

Three coordinators on this machine, each a process of its own with fsync on, take the exchanges of honest hosts at a steady rate; beside them, 20 times a second, a newcomer connects and asks who the members are. This is measured first in quiet and then under attack, all kinds at once, from this machine, so that no limit for one address helps:

  connections, held and opened again when they are closed: silent; half of a head; heads, bodies and uploads by the byte; a body that never comes; answers that nobody reads; and at the port for coordinators, silent and shaking hands;
  requests: over every limit in bytes, garbage with huge lengths, zstd bombs, blobs with another digest, wrong signatures, unknown keys, strangers at the port for coordinators.

The attacker is a process of its own, at a low priority, since a real one has processors of his own. He opens at most 2,500 connections a second until there are enough and 1,000 after, and sends bad requests at --bad; holding connections costs him nothing.

It counts what each kind was answered with. In the end everything that was handed out to the honest hosts is reported and accounted for. Exit code 1 if an attack was accepted, something was lost, or a coordinator died. How much slower honest clients were is for the reader to judge: the figures are those of this machine.`
}

// abuseResult is the last line of --json.
type abuseResult struct {
	OK       bool    `json:"ok"`
	QuietP50 float64 `json:"quiet_p50_ms"` // of honest exchanges
	Quiet    float64 `json:"quiet_p99_ms"`
	P50      float64 `json:"attacked_p50_ms"`
	P99      float64 `json:"attacked_p99_ms"`
	Ratio    float64 `json:"ratio"`       // of the p99
	RampP99  float64 `json:"ramp_p99_ms"` // while the attack began
	Repeated uint64  `json:"attacked_repeated_requests"`

	NewQuiet  float64 `json:"newcomers_quiet_p99_ms"` // with a connection of their own
	NewP99    float64 `json:"newcomers_attacked_p99_ms"`
	Newcomers int     `json:"newcomers"`        // under attack
	NewFailed int     `json:"newcomers_failed"` // of them

	attackResult

	RSSBefore []int64  `json:"rss_mb_before"` // of each coordinator
	RSS       []int64  `json:"rss_mb"`        // the most under attack
	LogLines  []int    `json:"log_lines"`     // that each wrote meanwhile
	Elections uint64   `json:"elections"`
	AckedLost uint64   `json:"acked_lost"`
	Twice     uint64   `json:"credited_twice"`
	Died      []string `json:"nodes_died,omitempty"`
	Steal     *float64 `json:"steal_percent"`
	LoadCPU   *float64 `json:"load_cpu_percent"` // of all processors: the honest hosts
	NodesCPU  *float64 `json:"coordinators_cpu_percent"`
	accounting
	Problems []string `json:"problems,omitempty"`
}

// Run attacks.
func (c *benchAbuseCommand) Run(a *app) error {
	if err := c.check(); err != nil {
		return err
	}
	b, done, err := newLoadBench(a, loadFlags{Nodes: 3, Replicate: 2, Hosts: c.Hosts, Dir: c.Dir}, c.Batch)
	if err != nil {
		return err
	}
	defer done()
	b.say("Starting 3 coordinators and enrolling %s", plural(c.Hosts, "honest host"))
	if err := b.addCoordinators(a.ctx, 3, "--max-connections", fmt.Sprint(c.Most)); err != nil {
		return err
	}
	if err := errors.Join(b.submit(a.ctx), b.enrol(a.ctx)); err != nil {
		return err
	}
	t := &abuse{loadBench: b, flags: c}
	if err := t.run(a.ctx); err != nil {
		return err
	}
	if err := b.settle(a.ctx); err != nil {
		return err
	}
	r := &t.result
	r.accounting, r.Problems = b.account, b.problems
	r.AckedLost, r.Twice = b.account.Lost, b.account.Twice
	r.OK = b.ok() && r.Accepted == 0 && len(r.Died) == 0
	t.report()
	if !r.OK {
		return failure{code: exitFailed} // it was told already
	}
	return nil
}

func (c *benchAbuseCommand) check() error {
	if err := errors.Join(
		inRange("--connections", int64(c.Connections), 0, 100_000, ""), inRange("--slow", int64(c.Slow), 0, 2000, "of each kind"),
		inRange("--seconds", int64(c.Seconds), 1, 600, "s"), inRange("--hosts", int64(c.Hosts), 2, 1000, "hosts"),
		inRange("--max-connections", int64(c.Most), 16, 1<<20, ""), inRange("--batch", int64(c.Batch), 1, 128, "tasks an exchange"),
	); err != nil {
		return err
	}
	if c.Rate <= 0 || c.Rate > 1e5 || c.Bad < 0 || c.Bad > 1e4 {
		return failure{fmt.Errorf("--rate %g --bad %g: want up to 100000 exchanges and 10000 bad requests a second", c.Rate, c.Bad), exitUsage}
	}
	// Beside the attack this program has its honest hosts' connections.
	if need := c.Connections + 8*c.Slow + c.Hosts + 256; gate.Most(need+otherFilesOfBench) < need {
		return failure{fmt.Errorf("--connections %d --slow %d need %d file descriptors, and the system gives this process fewer: raise the limit (ulimit -n), or ask for fewer connections", c.Connections, c.Slow, need), exitUsage}
	}
	return nil
}

// otherFilesOfBench is what gate.Most keeps for what is no connection.
const otherFilesOfBench = 1024

// begin notes how the coordinators stand before the attack.
func (t *abuse) begin() (s sample, lines []int, err error) {
	if s, err = t.sample(); err != nil {
		return s, nil, err
	}
	for _, u := range s.nodes {
		t.result.RSSBefore = append(t.result.RSSBefore, u.Resident/1e6)
	}
	t.result.RSS = slices.Clone(t.result.RSSBefore)
	return s, t.logLines(), nil
}

// watch notes the most memory that coordinators take, until ctx ends.
func (t *abuse) watch(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for i, p := range t.coordinators {
			if u, err := usage.Of(p.cmd.Process.Pid); err == nil && i < len(t.result.RSS) {
				t.result.RSS[i] = max(t.result.RSS[i], u.Resident/1e6)
			}
		}
	}
}

// end notes what the attack did to the coordinators.
func (t *abuse) end(from sample, lines []int) error {
	r := &t.result
	for _, p := range t.coordinators {
		if !p.running() {
			r.Died = append(r.Died, p.name)
			t.problem("%s died under the attack: %s", p.name, lastWords(p.log))
		}
	}
	for i, n := range t.logLines() {
		r.LogLines = append(r.LogLines, n-lines[i])
	}
	to, err := t.sample()
	if err != nil {
		return err
	}
	r.Elections = to.term - from.term
	if from.usage && to.usage {
		r.Steal = pointer(usage.StealPercent(from.machine, to.machine))
		r.LoadCPU = pointer(usage.PercentOf(to.self.CPU-from.self.CPU, from.machine, to.machine))
		var nodes time.Duration
		for i := range to.nodes {
			nodes += to.nodes[i].CPU - from.nodes[i].CPU
		}
		r.NodesCPU = pointer(usage.PercentOf(nodes, from.machine, to.machine))
	}
	return nil
}

// logLines is how many lines each coordinator has logged so far.
func (t *abuse) logLines() []int {
	var n []int
	for _, p := range t.coordinators {
		b, err := os.ReadFile(p.log)
		if err != nil {
			b = nil // the figure is then too low, and nothing else
		}
		n = append(n, strings.Count(string(b), "\n"))
	}
	return n
}

// attackerKey is the file of the attacker's account: anybody may have one.
func (t *abuse) attackerKey() string { return filepath.Join(t.dir, "attacker.key") }

func (t *abuse) report() {
	r := &t.result
	if t.json {
		t.print(r)
		return
	}
	t.say("")
	t.say("Honest exchanges            p50 %.1f ms, p99 %.1f ms; under attack p50 %.1f ms, p99 %.1f ms: %.2f times", r.QuietP50, r.Quiet, r.P50, r.P99, r.Ratio)
	t.say("  while the attack began    p99 %.1f ms; %d requests were sent again", r.RampP99, r.Repeated)
	t.say("Newcomers                   p99 %.1f ms; under attack %.1f ms, %d of %d failed", r.NewQuiet, r.NewP99, r.NewFailed, r.Newcomers)
	t.say("Connections of the attacker %d, at most %d at a time", r.Opened, r.Most)
	for _, kind := range slices.Sorted(maps.Keys(r.Answers)) {
		var parts []string
		for _, answer := range slices.Sorted(maps.Keys(r.Answers[kind])) {
			parts = append(parts, fmt.Sprintf("%s: %d", answer, r.Answers[kind][answer]))
		}
		t.say("  %-25s %s", kind, strings.Join(parts, ", "))
	}
	t.say("Memory of the coordinators  %v MB, under attack up to %v MB; lines in their logs %v", r.RSSBefore, r.RSS, r.LogLines)
	t.sayAccount()
	t.saySteal(r.Steal)
	if r.OK {
		t.say("No attack was accepted, and everything is accounted for.")
	}
}
