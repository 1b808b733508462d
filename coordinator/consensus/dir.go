package consensus

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"

	"github.com/sheafgrid/sheaf/internal/fsutil"
)

// ErrDamaged is wrapped when a node's files cannot be trusted. The other nodes
// have the data: this one comes back with an empty folder and a new name.
var ErrDamaged = errors.New("damaged data folder")

// retained is how many snapshots are kept. Only the newest is ever used; the
// others are there for a person in need.
const retained = 3

// segmentBytes is the size of one file of the log. raft-wal creates it whole,
// which also reserves the space.
const segmentBytes = 16 << 20

// OpenDir opens the log and snapshots in a folder, made if need be, with a
// transport to talk to peers through. The caller holds a lock on the folder:
// opening it twice would wait for ever. The transport goes over a Stream. A snapshot that is damaged is refused
// here, by name: raft would quietly take an older one, and lose what was
// committed since.
func OpenDir(dir string, transport *raft.NetworkTransport, log *slog.Logger) (Stores, error) {
	logs := filepath.Join(dir, "log")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return Stores{}, fmt.Errorf("log: %w", err)
	}
	meta := &metadb.BoltMetaDB{} // handed over, because a log that does not open leaves it open
	w, err := wal.Open(logs, wal.WithSegmentSize(segmentBytes), wal.WithLogger(hclogTo(log)), wal.WithMetaStore(meta), wal.WithSegmentFiler(newSegments(logs)))
	if err != nil {
		if !fsutil.IsNoSpace(err) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return Stores{}, errors.Join(fmt.Errorf("log in %s: %w", logs, err), meta.Close())
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, retained, hclogTo(log))
	if err != nil {
		return Stores{}, errors.Join(fmt.Errorf("snapshots in %s: %w", dir, err), w.Close())
	}
	first, err := w.FirstIndex()
	if err == nil {
		err = checkSnapshots(snapshots, filepath.Join(dir, "snapshots"), first)
	}
	if err != nil {
		return Stores{}, errors.Join(err, w.Close())
	}
	return Stores{Log: w, Stable: w, Snapshots: snapshots, Transport: transport, Close: []io.Closer{transport, w}, Dir: dir, named: true}, nil
}

// checkSnapshots reads the newest snapshot whole, and makes sure that none is
// passed over, and that the log, which begins with entry first, goes on where
// it ends.
func checkSnapshots(store *raft.FileSnapshotStore, dir string, first uint64) error {
	listed, err := store.List()
	if err != nil {
		return fmt.Errorf("snapshots in %s: %w", dir, err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("snapshots: %w", err)
	}
	known := map[string]bool{}
	for _, m := range listed {
		known[m.ID] = true
	}
	for _, e := range names {
		unfinished := strings.HasSuffix(e.Name(), ".tmp")
		if e.IsDir() && !unfinished && !known[e.Name()] && len(listed) < retained {
			return fmt.Errorf("snapshot %s: %w: its description cannot be read", filepath.Join(dir, e.Name()), ErrDamaged)
		}
	}
	if len(listed) == 0 {
		if first > 1 {
			return fmt.Errorf("%s: %w: there is no snapshot, and the log begins with entry %d", dir, ErrDamaged, first)
		}
		return nil
	}
	if newest := listed[0].Index; first > newest+1 {
		return fmt.Errorf("%s: %w: the newest snapshot ends with entry %d, and the log begins with entry %d", dir, ErrDamaged, newest, first)
	}
	_, r, err := store.Open(listed[0].ID)
	if err != nil {
		return fmt.Errorf("snapshot %s: %w: %w", filepath.Join(dir, listed[0].ID), ErrDamaged, err)
	}
	return r.Close()
}

// NewTransport talks to peers over a stream layer.
func NewTransport(stream raft.StreamLayer, log *slog.Logger) *raft.NetworkTransport {
	return raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: stream, MaxPool: 3, Timeout: 10 * time.Second, Logger: hclogTo(log),
	})
}
