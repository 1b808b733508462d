//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/histories"
	"github.com/sheafgrid/sheaf/examples"
	"github.com/sheafgrid/sheaf/protocol"
)

// Flags of this test, behind -args.
var (
	processHistories = flag.Int("process-histories", 0, "histories of each fault of real processes; about 5 s each")
	stoppedRounds    = flag.Int("stopped-rounds", 0, "how often the leader is stopped and read from; about 5 s each")
	processSeed      = flag.Uint64("process-seed", 0, "seed of the first history; 0 draws one")
)

// atProcesses is a fleet as a history sees it.
type atProcesses struct {
	*fleet
	client *http.Client
}

// Nodes is how many there are.
func (f atProcesses) Nodes() int { return len(f.coordinators) }

// Do sends one request.
func (f atProcesses) Do(ctx context.Context, node int, method, path string, body []byte, header map[string]string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.coordinators[node%len(f.coordinators)].url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 && res.Header.Get("Content-Type") != protocol.ContentType {
		err = &histories.Status{Code: res.StatusCode, Text: res.Status + ": " + string(bytes.TrimSpace(b))}
	}
	return b, err
}

// processFaults are done to the leader, again and again, until ctx ends; each
// mends what it did.
var processFaults = []struct {
	name string
	do   func(ctx context.Context, f *fleet, lead *process, rnd *rand.Rand) error
}{
	{"kill -9 of the leader", func(ctx context.Context, f *fleet, lead *process, rnd *rand.Rand) error {
		lead.kill()
		wait(ctx, rnd, 500*time.Millisecond)
		return f.start(lead)
	}},
	{"SIGSTOP of the leader", func(ctx context.Context, _ *fleet, lead *process, rnd *rand.Rand) error {
		if err := lead.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		time.Sleep(time.Duration(200+rnd.IntN(2500)) * time.Millisecond) // a stopped process is no event to wait for
		return lead.cmd.Process.Signal(syscall.SIGCONT)
	}},
}

func wait(ctx context.Context, rnd *rand.Rand, about time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(rnd.Int64N(int64(2 * about)))):
	}
}

// R1, R2, C1: what real processes answer, with their files on a real disk, is
// what a single one could that does one thing after the other.
func TestLinearizableProcesses(t *testing.T) {
	if *processHistories == 0 {
		t.Skip("it takes minutes: go test ./cmd/sheaf -run TestLinearizableProcesses -v -args -process-histories=10")
	}
	seed := *processSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	program, err := fs.ReadFile(examples.Files(), "primes/count.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range processFaults {
		t.Run(fault.name, func(t *testing.T) {
			f := startFleet(t)
			var sum histories.History
			for i := range uint64(*processHistories) {
				h := processHistory(t, f, seed+i, program, fault.do)
				sum.Operations, sum.Accepted, sum.Copies = sum.Operations+h.Operations, sum.Accepted+h.Accepted, sum.Copies+h.Copies
			}
			fmt.Printf("%-28s %5d histories, %7d operations, %6d accepted results, %5d copies\n", fault.name, *processHistories, sum.Operations, sum.Accepted, sum.Copies)
		})
	}
}

func startFleet(t *testing.T) *fleet {
	t.Helper()
	f, err := newFleet(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f.binary = filepath.Join(f.dir, "sheaf") // by this name it is the program, see TestMain
	if err := copyFile(f.binary, self, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.stop)
	if err := f.addCoordinators(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	return f
}

func processHistory(t *testing.T, f *fleet, seed uint64, program []byte, do func(context.Context, *fleet, *process, *rand.Rand) error) *histories.History {
	t.Helper()
	v, err := f.cluster(f.coordinators[0].url)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(seed, 3))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	cfg := histories.Config{Seed: seed, Cluster: v.Cluster, Program: program, Steps: 40}
	h, err := histories.Run(t.Context(), cfg, atProcesses{f, client}, func(ctx context.Context) error {
		for {
			wait(ctx, rnd, 400*time.Millisecond)
			if ctx.Err() != nil {
				return nil
			}
			if lead := f.leader(); lead != nil {
				if err := do(ctx, f, lead, rnd); err != nil {
					return err
				}
			}
		}
	})
	if err == nil {
		var equal bool
		if equal, _, err = f.sameState(t.Context()); err == nil && !equal {
			err = errors.New("R3: the coordinators have different states")
		}
	}
	if err != nil {
		t.Fatalf("seed %d: %v\nonce more: go test ./cmd/sheaf -run %q -args -process-histories=1 -process-seed=%d", seed, err, t.Name(), seed)
	}
	return h
}
