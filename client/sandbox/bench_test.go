package sandbox_test

import (
	"context"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/task"
)

// BenchmarkRun is a small program (50 KB) from start to end: process, checks,
// rewriting, compiling, running, answering.
func BenchmarkRun(b *testing.B) {
	for _, e := range []sandbox.Engine{sandbox.EngineCompiler, sandbox.EngineInterpreter} {
		b.Run(e.String(), func(b *testing.B) {
			r := runner(b)
			r.Engine = e
			q := request(b, "exit", "0")
			for b.Loop() {
				if _, err := r.Run(b.Context(), q, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkKill is how long a cancelled program takes to be gone, half a GiB
// of memory included.
func BenchmarkKill(b *testing.B) {
	for name, args := range map[string][]string{"loop": {"loop"}, "half a GiB": {"hold", "512"}} {
		b.Run(name, func(b *testing.B) {
			q := request(b, args...)
			q.Limits.Work, q.Limits.Memory = task.MaxWork, 1<<30
			var total time.Duration
			for b.Loop() {
				ctx, cancel := context.WithCancel(b.Context())
				var at time.Time
				_, _ = runner(b).Run(ctx, q, func(p sandbox.Progress) {
					if p.CPU > time.Second/2 { // the memory is taken
						at = time.Now()
						cancel()
					}
				})
				total += time.Since(at)
				cancel()
			}
			b.ReportMetric(float64(total.Microseconds())/float64(b.N)/1000, "ms/kill")
		})
	}
}

// BenchmarkCalls is a million calls of the system.
func BenchmarkCalls(b *testing.B) {
	q := request(b, "yields", "1000000")
	for b.Loop() {
		if _, err := runner(b).Run(b.Context(), q, nil); err != nil {
			b.Fatal(err)
		}
	}
}
