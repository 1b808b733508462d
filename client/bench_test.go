package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client"
	"github.com/sheafgrid/sheaf/client/plan"
	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/protocol"
)

// BenchmarkTasks measures what the agent itself costs a task, everything but
// the sandbox: its share of two exchanges, four journal entries, the checks.
func BenchmarkTasks(b *testing.B) {
	c := newCoordinator(b)
	c.after, c.next = 1, 50
	computeAll(b, c, []byte("module"), 8, &fakeSandbox{}, "say", "0s", "x")
}

// BenchmarkShortTasks measures how well the cores are used while a coordinator
// wants 100 ms between calls and takes 10 ms for each, as real ones do.
func BenchmarkShortTasks(b *testing.B) {
	for _, took := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond} {
		for _, cores := range []int{1, 2, 8} {
			b.Run(fmt.Sprintf("%v on %d cores", took, cores), func(b *testing.B) {
				computeAll(b, slowCoordinator(b), []byte("module"), cores, &fakeSandbox{}, "say", took.String(), "x")
			})
		}
	}
}

// BenchmarkRealSandbox is the same with a program that does nothing, in
// processes of its own.
func BenchmarkRealSandbox(b *testing.B) {
	module, err := os.ReadFile("sandbox/testdata/guest.wasm")
	if err != nil {
		b.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	computeAll(b, slowCoordinator(b), module, 2, sandbox.Runner{Command: []string{self, childSandbox, b.Name()}}, "exit", "0")
}

func slowCoordinator(b *testing.B) *coordinator {
	c := newCoordinator(b)
	c.before = func(http.ResponseWriter, *protocol.Envelope) bool {
		time.Sleep(10 * time.Millisecond) // a log entry on a majority of disks
		return false
	}
	return c
}

// computeAll lets an agent compute b.N tasks with the same arguments.
func computeAll(b *testing.B, c *coordinator, module []byte, cores int, s client.Sandbox, args ...string) {
	server := httptest.NewServer(c)
	defer server.Close()
	program := c.blob(module)
	for range b.N {
		c.task(program, nil, args...)
	}
	config := realConfig(b.TempDir(), server.URL, s)
	config.Rules.Cores, config.Trail = cores, ""
	config.Sense = func() plan.Machine { return plan.Machine{Cores: cores} }
	a, err := client.Open(config)
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	b.ResetTimer()
	go func() { done <- a.Run(ctx) }()
	for a.Status().Counts.Acknowledged < uint64(b.N) {
		time.Sleep(time.Millisecond)
	}
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	b.ReportMetric(float64(b.N)/float64(c.exchanges), "tasks/exchange")
}
