// Package dispatch carries out exchanges on the leader: it verifies what a
// host returned, makes it durable, picks new tasks, puts both through the log
// as one command, and answers.
//
// The order is what keeps the promises. A report is proposed only after its
// outputs are on a majority of nodes (R1). A repeated request is answered from
// the state, and changes nothing (R2). Picks are made one exchange at a time,
// over the state and an overlay of what was picked and is not applied yet.
//
// It starts no goroutine; exchanges run on their callers'.
package dispatch

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"

	"github.com/sheafgrid/sheaf/coordinator/schedule"
	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Node is the replicated state, as dispatch uses it.
type Node interface {
	View(fn func(*state.State))
	Propose(ctx context.Context, c state.Command) (state.Result, error) // does not keep c
	Now() task.Millis
	Leader() task.NodeID
}

// Outputs keeps what hosts return, on a majority of nodes. When PutBatch has
// returned, with an error or without, it uses neither the list nor the bytes.
type Outputs interface {
	PutBatch(ctx context.Context, blobs []storage.Small) error
	Have(ctx context.Context, digest task.Digest) (bool, error)
}

// Dispatcher carries out exchanges.
type Dispatcher struct {
	node    Node
	outputs Outputs
	tasks   *Tasks
	log     *slog.Logger

	made     made
	sums     sums
	contacts sync.Pool  // of *contact: what exchanges that are over have worked in
	mu       sync.Mutex // one pick at a time
	overlay  *schedule.Overlay
	rnd      *rand.Rand
}

// New makes a dispatcher. rnd is used for jitter and for where to begin to
// look for a task; nothing secret depends on it.
func New(node Node, outputs Outputs, tasks *Tasks, rnd *rand.Rand, log *slog.Logger) *Dispatcher {
	return &Dispatcher{node: node, outputs: outputs, tasks: tasks, rnd: rnd, log: log, overlay: schedule.NewOverlay(), contacts: sync.Pool{New: newContact}}
}

// Reset forgets what was picked and not applied. A node that becomes leader
// calls it: what it picked in an earlier term is in the log, or never will be.
func (d *Dispatcher) Reset() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.overlay = schedule.NewOverlay()
}
