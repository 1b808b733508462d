package consensus

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"

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
	if err := fsutil.MkdirAllSync(logs, 0o700); err != nil {
		return Stores{}, fmt.Errorf("log: %w", err)
	}
	kept := filepath.Join(dir, "snapshots")
	if err := fsutil.MkdirAllSync(kept, 0o700); err != nil {
		return Stores{}, fmt.Errorf("snapshots: %w", err)
	}
	mark, err := checkReached(dir, logs, kept)
	if err != nil {
		return Stores{}, err
	}
	logDisk := newOSLogDisk()
	w, store, err := openFiles(files{
		logs: logs, segmentBytes: segmentBytes, vfs: logDisk, meta: &metadb.BoltMetaDB{}, kept: kept, snapshots: osDisk{kept},
	}, log)
	if err != nil {
		return Stores{}, errors.Join(err, mark.Close())
	}
	return Stores{Log: w, Stable: w, Snapshots: store, Transport: transport, Close: []io.Closer{transport, w, logDisk, mark}, Dir: dir, named: true, reached: mark}, nil
}

// files is where the log and the snapshots are kept. Tests put disks behind it
// that fail.
type files struct {
	logs         string // folder of the log
	segmentBytes int
	vfs          logDisk
	meta         types.MetaStore // handed over, because a log that does not open leaves it open
	kept         string          // folder of the snapshots
	snapshots    disk
}

// openFiles opens the log and the snapshots, and refuses what cannot be
// trusted.
func openFiles(f files, log *slog.Logger) (*wal.WAL, *snapshots, error) {
	filer := newSegments(f.logs, f.vfs)
	err := filer.finishRotation(f.logs, f.meta)
	var w *wal.WAL
	if err == nil {
		w, err = wal.Open(f.logs, wal.WithSegmentSize(f.segmentBytes), wal.WithLogger(hclogTo(log)), wal.WithMetaStore(f.meta), wal.WithSegmentFiler(filer))
	}
	if err != nil {
		if !fsutil.IsNoSpace(err) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, nil, errors.Join(fmt.Errorf("log in %s: %w", f.logs, err), f.meta.Close())
	}
	store, err := openSnapshots(f.snapshots, f.kept)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("snapshots in %s: %w", f.kept, err), w.Close())
	}
	first, err := w.FirstIndex()
	if err == nil {
		err = checkSnapshots(store, first)
	}
	if err != nil {
		return nil, nil, errors.Join(err, w.Close())
	}
	return w, store, nil
}

// checkLog reads every byte of the log, and returns the number of its last entry.
func checkLog(dir string) (last uint64, err error) {
	meta, err := readMeta(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("log in %s: %w", dir, err)
	}
	for _, info := range meta.Segments {
		f, err := readLogFile(dir, info)
		if err != nil {
			return 0, err
		}
		last = max(last, f.last())
	}
	return last, nil
}

// checkReached opens the mark beside the log, and makes sure that log and
// snapshots reach it. Nothing was written before: opening the log cuts off what
// looks like a write that did not end.
func checkReached(dir, logs, kept string) (*reached, error) {
	last, err := checkLog(logs)
	if err != nil {
		return nil, err
	}
	mark, err := openReached(dir)
	if err != nil || last >= mark.index {
		return mark, err
	}
	store, err := openSnapshots(osDisk{kept}, kept)
	if err == nil {
		var listed []*raft.SnapshotMeta
		if listed, err = store.List(); err == nil {
			err = mark.check(logs, last, listed)
		}
	}
	if err != nil {
		return nil, errors.Join(err, mark.Close())
	}
	return mark, nil
}

// checkSnapshots reads the newest snapshot whole, and makes sure that none is
// passed over, and that the log, which begins with entry first, goes on where
// it ends.
func checkSnapshots(store *snapshots, first uint64) error {
	dir := store.path
	listed, err := store.List()
	if err != nil {
		return err
	}
	names, err := store.disk.list(".")
	if err != nil {
		return fmt.Errorf("snapshots: %w", err)
	}
	known := map[string]bool{}
	for _, m := range listed {
		known[m.ID] = true
	}
	for _, name := range names {
		if isSnapshot(name) && !known[name] && len(listed) < retained {
			return fmt.Errorf("snapshot %s: %w: its description cannot be read", filepath.Join(dir, name), ErrDamaged)
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
