package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
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

	key   ed25519.PrivateKey // of the attacker's account, which may publish
	large task.Digest        // a large blob of his that anybody may read

	dials  chan struct{} // one for each connection that he may open now
	dialed atomic.Uint64
	held   atomic.Int64 // at the moment

	mu      sync.Mutex
	most    int64 // of held
	answers map[string]map[string]uint64
}

// answered counts what became of an attack of some kind.
func (t *abuse) answered(kind, answer string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.answers[kind] == nil {
		t.answers[kind] = map[string]uint64{}
	}
	t.answers[kind][answer]++
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
	r.Opened, r.Answers = t.dialed.Load(), t.answers
	if r.Quiet > 0 {
		r.Ratio = round(r.P99/r.Quiet, 2)
	}
	return t.end(from, lines)
}

// underAttack begins the attack, measures at its height, and ends it.
func (t *abuse) underAttack(ctx context.Context) error {
	r := &t.result
	attack, end := context.WithCancel(ctx)
	defer end()
	var attackers sync.WaitGroup
	attackers.Go(func() { t.attack(attack) })
	attackers.Go(func() { t.watch(attack) })
	defer attackers.Wait()
	defer end()
	t.say("The attack begins")
	if err := t.runLoad(ctx, t.flags.Rate, rampLimit, func(ctx context.Context, limit <-chan time.Time) error {
		for t.held.Load() < int64(t.flags.Connections)*9/10 {
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
	t.say("Measuring under attack: %d connections are held", t.held.Load())
	attacked, newcomers, err := t.honest(ctx, &r.NewFailed, &r.NewP99)
	if err != nil {
		return err
	}
	r.P50, r.P99 = millis(attacked.Quantile(0.5)), millis(attacked.Quantile(0.99))
	r.Newcomers, r.Repeated = newcomers, t.load.Counts().Repeated-before
	t.mu.Lock()
	r.Held = t.most
	t.mu.Unlock()
	t.say("The attack ends")
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
	var err error
	if t.key, err = identity.Load(t.attackerKey(), identity.Account); err != nil {
		return err
	}
	blob := make([]byte, largeBlob)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(blob) // never fails
	t.large = task.Sum(blob)
	lead := t.leader()
	if lead == nil {
		return errNoLeader
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, lead.url+protocol.PathBlobs+t.large.String(), bytes.NewReader(blob))
	if err != nil {
		return err
	}
	req.Header = t.signedUpload(t.large)
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

// signedUpload is the head of an upload that the attacker may make.
func (t *abuse) signedUpload(digest task.Digest) http.Header {
	h := http.Header{}
	h.Set(protocol.HeaderKey, protocol.PublicKey(t.key).String())
	h.Set(protocol.HeaderSignature, protocol.EncodeSignature(protocol.SignUpload(t.key, t.cluster, digest)))
	return h
}

// Connections that the attacker opens a second, until there are enough and
// after.
const (
	dialsAtFirst = 2500
	dialsLater   = 1000
)

// attack goes on until ctx ends.
func (t *abuse) attack(ctx context.Context) {
	t.dials = make(chan struct{})
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { t.pace(ctx) })
	for _, h := range t.holds() {
		for i := range h.count {
			all.Go(func() { t.hold(ctx, h, i) })
		}
	}
	all.Go(func() { t.shoot(ctx) })
}

// pace lets connections be opened.
func (t *abuse) pace(ctx context.Context) {
	const step = 10 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		rate := dialsLater
		if t.dialed.Load() < uint64(t.flags.Connections) {
			rate = dialsAtFirst
		}
		for range rate * int(step) / int(time.Second) {
			select {
			case t.dials <- struct{}{}:
			case <-ctx.Done():
				return
			default: // nobody wants one
			}
		}
	}
}
