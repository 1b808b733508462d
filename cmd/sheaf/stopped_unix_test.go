//go:build unix

package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/histories"
	"github.com/sheafgrid/sheaf/examples"
	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// A leader that was stopped, and wakes up when another leads, must not answer
// from what it knew: whoever reads a job after it was cancelled sees that. Before
// a leader asked the others whether it still is one, one round in about eight
// found an old answer.
func TestStoppedLeaderAnswersNothingOld(t *testing.T) {
	if *stoppedRounds == 0 {
		t.Skip("it takes its time: go test ./cmd/sheaf -run TestStoppedLeader -args -stopped-rounds=10")
	}
	program, err := fs.ReadFile(examples.Files(), "primes/count.wasm")
	if err != nil {
		t.Fatal(err)
	}
	f := startFleet(t)
	v, err := f.cluster(f.coordinators[0].url)
	if err != nil {
		t.Fatal(err)
	}
	c := atProcesses{f, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	p, err := histories.NewPublisher(t.Context(), c, v.Cluster, program, uint64(time.Now().UnixNano()))
	if err != nil {
		t.Fatal(err)
	}
	for round := range *stoppedRounds {
		job, err := p.Submit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lead := f.leader()
		if lead == nil {
			t.Fatal("nobody leads")
		}
		if err := lead.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		err = p.Cancel(t.Context(), job) // by the next leader
		answers := readStopped(t, c, lead, job)
		if err := lead.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		for state := range answers {
			if state != "cancelled" && state != "" {
				t.Fatalf("round %d: a job that was cancelled is %q at the leader that was stopped", round, state)
			}
		}
	}
}

// readStopped sends readings to a process that does not run. It returns when
// they wait there; their answers come when it runs again, "" for none.
func readStopped(t *testing.T, c atProcesses, p *process, job task.JobID) <-chan string {
	t.Helper()
	const readers = 32
	states := make(chan string, readers)
	at := -1
	for i, o := range c.coordinators {
		if o == p {
			at = i
		}
	}
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			b, err := c.Do(ctx, at, "GET", protocol.JobPath(job), nil, nil)
			var v protocol.JobView
			if err == nil {
				err = json.Unmarshal(b, &v)
			}
			if err != nil {
				v.State = ""
			}
			states <- v.State
		})
	}
	go func() { wg.Wait(); close(states) }()
	time.Sleep(100 * time.Millisecond) // what waits in a socket tells nobody
	return states
}
