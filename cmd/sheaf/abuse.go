package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sheafgrid/sheaf/client/identity"
	"github.com/sheafgrid/sheaf/loadgen"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// abuse is a cluster under attack, with honest load beside.
type abuse struct {
	*loadBench
	flags  *benchAbuseCommand
	result abuseResult

	order attackOrder
}

// run measures in quiet and under attack.
func (t *abuse) run(ctx context.Context) error {
	if err := t.arm(ctx); err != nil {
		return err
	}
	r := &t.result
	window := time.Duration(t.flags.Seconds) * time.Second
	if err := t.runLoad(ctx, t.flags.Rate, min(warmUp, window), nil); err != nil {
		return err
	}
	t.load.TakeLatencies()
	t.say("Measuring for %s in quiet", durationText(window))
	quiet, _, err := t.honest(ctx, nil, &r.NewQuiet)
	if err != nil {
		return err
	}
	r.QuietP50, r.Quiet = millis(quiet.Quantile(0.5)), millis(quiet.Quantile(0.99))

	from, lines, err := t.begin()
	if err != nil {
		return err
	}
	if err := t.underAttack(ctx); err != nil {
		return err
	}
	if r.Quiet > 0 {
		r.Ratio = round(r.P99/r.Quiet, 2)
	}
	return t.end(from, lines)
}

// underAttack begins the attack, measures at its height, and ends it.
func (t *abuse) underAttack(ctx context.Context) error {
	r := &t.result
	t.say("The attack begins")
	enemy, err := t.startAttacker()
	if err != nil {
		return err
	}
	defer enemy.stop()
	watching, end := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { t.watch(watching) })
	defer watch.Wait()
	defer end()
	if err := t.runLoad(ctx, t.flags.Rate, rampLimit, func(ctx context.Context, limit <-chan time.Time) error {
		for enemy.held.Load() < int64(t.flags.Connections)*9/10 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-limit:
				return nil // coordinators close more than he opens
			case <-time.After(50 * time.Millisecond):
			}
		}
		return nil
	}); err != nil {
		return err
	}
	r.RampP99 = millis(t.load.TakeLatencies().Quantile(0.99))
	before := t.load.Counts().Repeated
	t.say("Measuring for %s under attack: %d connections are held", durationText(time.Duration(t.flags.Seconds)*time.Second), enemy.held.Load())
	attacked, newcomers, err := t.honest(ctx, &r.NewFailed, &r.NewP99)
	if err != nil {
		return err
	}
	r.P50, r.P99 = millis(attacked.Quantile(0.5)), millis(attacked.Quantile(0.99))
	r.Newcomers, r.Repeated = newcomers, t.load.Counts().Repeated-before
	did, err := enemy.stop()
	if err != nil {
		return err
	}
	t.say("The attack has ended")
	r.attackResult = did
	for _, p := range did.Trouble {
		t.problem("%s", p)
	}
	return nil
}

// rampLimit is how long the attack may take to come to its height.
const rampLimit = 10 * time.Second

// newcomersEvery is how often an honest newcomer comes.
const newcomersEvery = 50 * time.Millisecond

// honest runs honest hosts and newcomers for the measured time.
func (t *abuse) honest(ctx context.Context, failed *int, p99 *float64) (*loadgen.Histogram, int, error) {
	var news loadgen.Histogram
	came, lost := 0, 0
	err := t.runLoad(ctx, t.flags.Rate, time.Duration(t.flags.Seconds)*time.Second, func(ctx context.Context, stop <-chan time.Time) error {
		var mu sync.Mutex
		var g errgroup.Group
		tick := time.NewTicker(newcomersEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-stop:
				return g.Wait()
			case <-tick.C:
			}
			url := t.coordinators[came%len(t.coordinators)].url
			came++
			g.Go(func() error {
				took, err := newcomer(ctx, url)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					lost++
					return nil
				}
				news.Add(took)
				return nil
			})
		}
	})
	*p99 = millis(news.Quantile(0.99))
	if failed != nil {
		*failed = lost
	} else if lost > 0 {
		t.problem("%d of %d newcomers failed in quiet", lost, came)
	}
	return t.load.TakeLatencies(), came, err
}

// newcomer connects to a coordinator and asks who the members are.
func newcomer(ctx context.Context, url string) (time.Duration, error) {
	began := time.Now()
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 10 * time.Second}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+protocol.PathCluster, nil)
	if err != nil {
		return 0, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, err
	}
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", url, res.Status)
	}
	return time.Since(began), nil
}

// largeBlob is the size of what slow readers read: more than what systems keep
// on the way.
const largeBlob = 24 << 20

// arm gives the attacker what anybody can have: an account, and a large blob.
func (t *abuse) arm(ctx context.Context) error {
	if _, err := t.command(ctx, "project", "create", "attacker", "--server", strings.Join(t.urls(), ","), "--account", t.attackerKey()); err != nil {
		return err
	}
	key, err := identity.Load(t.attackerKey(), identity.Account)
	if err != nil {
		return err
	}
	blob := make([]byte, largeBlob)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(blob) // never fails
	t.order = attackOrder{
		Cluster: t.cluster, Opened: t.opened, Publisher: protocol.PublicKey(t.publisher), Large: task.Sum(blob),
		Key: key.Seed(), Connections: t.flags.Connections, Slow: t.flags.Slow, Bad: t.flags.Bad,
	}
	for _, p := range t.coordinators {
		t.order.Nodes = append(t.order.Nodes, attackedNode{Address: strings.TrimPrefix(p.url, "http://"), Raft: p.raft})
	}
	lead := t.leader()
	if lead == nil {
		return errNoLeader
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, lead.url+protocol.PathBlobs+t.order.Large.String(), bytes.NewReader(blob))
	if err != nil {
		return err
	}
	req.Header = signedUpload(key, t.cluster, t.order.Large)
	res, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		return fmt.Errorf("uploading a blob: %s", res.Status)
	}
	return nil
}
