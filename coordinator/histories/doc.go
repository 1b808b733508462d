// Package histories proves that the coordinators do each thing once and in one
// order: simulated publishers and hosts submit, cancel, read and exchange at
// the same time, through whichever node answers, while one fault is going on;
// what they were told is then compared with a sequential model of one job
// (github.com/anishathalye/porcupine).
//
// A request is sent again, with the same number, until it is answered: so each
// operation has one answer, and lasts from its first sending to that. Answers
// to copies of a request are compared with the first (R2). In the end every
// job that was not cancelled is computed to its end, and every result that was
// accepted must be there, once, with its output (R1, C1).
//
// Goroutines: one for each client, and one for each copy of a request, all of
// them inside Run. The package knows nothing of what the cluster runs on.
package histories

import (
	"context"

	"github.com/sheafgrid/sheaf/task"
)

// Cluster is what a history is run against.
type Cluster interface {
	// Nodes is how many nodes there may be to ask; some of them may be down.
	Nodes() int
	// Do sends one HTTP request to one node, and returns the body of an answer
	// that is a frame or has a status below 300. Any other status is an error
	// that wraps a *Status.
	Do(ctx context.Context, node int, method, path string, body []byte, header map[string]string) ([]byte, error)
}

// Status is an answer's status that is not good.
type Status struct {
	Code int
	Text string
}

// Error returns the status's text.
func (s *Status) Error() string { return s.Text }

// Config describes a history.
type Config struct {
	Seed    uint64
	Cluster task.ClusterID
	Program []byte // a WebAssembly program that the cluster accepts
	Steps   int    // operations that each client begins, before it finishes

	// Expiry says that attempts may expire, because clocks jump. Without it an
	// attempt that was handed out is good to the end.
	Expiry bool
}
