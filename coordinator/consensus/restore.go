package consensus

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/coordinator/state"
	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/task"
)

// restoredTerm is the term of a restored state. The log that begins behind it is
// a new one, and so are its terms.
const restoredTerm = 1

// WriteRestored makes the raft folder of a node that begins a cluster with a
// state from elsewhere: with a snapshot in place of a log, and itself as the only
// voter. Its address becomes right when it is admitted, as after every change of
// address. The state must not be in use.
func WriteRestored(dir string, node task.NodeID, index uint64, s *state.State, log *slog.Logger) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	store, err := raft.NewFileSnapshotStoreWithLogger(dir, retained, hclogTo(log))
	if err != nil {
		return fmt.Errorf("snapshots in %s: %w", dir, err)
	}
	members := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(node), Address: namedAddress(node, "127.0.0.1:1")}}}
	_, nobody := raft.NewInmemTransport("")
	sink, err := store.Create(1, index, restoredTerm, members, index, nobody)
	if err != nil {
		return fmt.Errorf("snapshot in %s: %w", dir, err)
	}
	frozen := s.Freeze()
	defer frozen.Release()
	w := bufio.NewWriterSize(sink, 1<<20)
	if _, err = frozen.Write(w); err == nil {
		err = w.Flush()
	}
	if err != nil {
		_ = sink.Cancel() // the first error is the one to report
		return fmt.Errorf("snapshot %s in %s: %w", sink.ID(), dir, err)
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("snapshot %s in %s: %w", sink.ID(), dir, err)
	}
	return fsutil.SyncDir(dir)
}
