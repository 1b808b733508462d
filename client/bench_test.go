package client_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client"
	"github.com/sheafgrid/sheaf/client/plan"
)

// BenchmarkTasks measures what the agent itself costs a task, everything but
// the sandbox: two exchanges' share, four journal entries, the checks.
func BenchmarkTasks(b *testing.B) {
	c := newCoordinator(b)
	c.after, c.next = 1, 50
	server := httptest.NewServer(c)
	defer server.Close()
	program := c.blob([]byte("module"))
	for range b.N {
		c.task(program, nil, "say", "0s", "x")
	}
	config := realConfig(b.TempDir(), server.URL, &fakeSandbox{})
	config.Rules.Cores, config.Trail = 8, ""
	config.Sense = func() plan.Machine { return plan.Machine{Cores: 8} }
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
}
