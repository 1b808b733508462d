package consensus

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sheafgrid/sheaf/internal/planted"
)

// Names in the folder of snapshots. Each snapshot is a folder of its own, as
// raft's file store lays it out; one that ends in unfinished is being written,
// or removed, and means nothing.
const (
	stateFile  = "state.bin"
	metaFile   = "meta.json"
	unfinished = ".tmp"
)

// maxMeta bounds what is read of a snapshot's description, in bytes.
const maxMeta = 1 << 20

// snapshots keeps the newest few snapshots of a node. When a sink's Close has
// returned nil, the snapshot is on the disk under its name: only then may the
// log that it stands for be dropped. raft's own file store does not sync the
// folder that a snapshot's files are in, so that a power cut could leave the
// name and neither file.
type snapshots struct {
	disk disk
	path string // for messages
}

var _ raft.SnapshotStore = (*snapshots)(nil)

// openSnapshots clears away what was never finished.
func openSnapshots(d disk, path string) (*snapshots, error) {
	s := &snapshots{disk: d, path: path}
	names, err := d.list(".")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if id, half := strings.CutSuffix(name, unfinished); half && isSnapshot(id) {
			if err := s.removeAll(name); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// isSnapshot reports whether a name in the folder is that of a snapshot: its
// term, its index and when it was begun.
func isSnapshot(name string) bool {
	var term, index, millis uint64
	n, err := fmt.Sscanf(name, "%d-%d-%d", &term, &index, &millis)
	return n == 3 && err == nil && name == fmt.Sprintf("%d-%d-%d", term, index, millis)
}

// removeAll removes a folder with the files in it.
func (s *snapshots) removeAll(name string) error {
	files, err := s.disk.list(name)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := s.disk.remove(name + "/" + f); err != nil {
			return err
		}
	}
	return s.disk.remove(name)
}

// described is a snapshot's description on the disk.
type described struct {
	raft.SnapshotMeta
	CRC []byte
}

// Create begins a snapshot.
func (s *snapshots) Create(version raft.SnapshotVersion, index, term uint64, members raft.Configuration, membersIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if version != raft.SnapshotVersionMax {
		return nil, fmt.Errorf("snapshot of version %d, want %d", version, raft.SnapshotVersionMax)
	}
	id := fmt.Sprintf("%d-%d-%d", term, index, time.Now().UnixMilli()) // see isSnapshot
	sink := &snapshotSink{store: s, crc: crc64.New(crc64.MakeTable(crc64.ECMA)), meta: described{SnapshotMeta: raft.SnapshotMeta{
		Version: version, ID: id, Index: index, Term: term, Configuration: members, ConfigurationIndex: membersIndex,
	}}}
	if err := s.disk.mkdir(id + unfinished); err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", id, err)
	}
	var err error
	if sink.file, err = s.disk.create(id + unfinished + "/" + stateFile); err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", id, err)
	}
	sink.buffer = bufio.NewWriterSize(sink.file, 64<<10)
	return sink, nil
}

// List describes the snapshots that can be read, the newest first.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	names, err := s.disk.list(".")
	if err != nil {
		return nil, fmt.Errorf("snapshots in %s: %w", s.path, err)
	}
	var all []*raft.SnapshotMeta
	for _, name := range names {
		if !isSnapshot(name) {
			continue
		}
		if m, err := s.describe(name); err == nil && m.ID == name {
			all = append(all, &m.SnapshotMeta)
		}
	}
	slices.SortFunc(all, func(a, b *raft.SnapshotMeta) int {
		return cmp.Or(cmp.Compare(b.Term, a.Term), cmp.Compare(b.Index, a.Index), strings.Compare(b.ID, a.ID))
	})
	return all[:min(len(all), retained)], nil
}

func (s *snapshots) describe(id string) (m described, err error) {
	f, err := s.disk.open(id + "/" + metaFile)
	if err != nil {
		return m, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMeta))
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(b, &m)
}

// Open returns a snapshot whose bytes were verified.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	m, err := s.describe(id)
	if err != nil {
		return nil, nil, fmt.Errorf("snapshot %s: its description cannot be read: %w", id, err)
	}
	name := id + "/" + stateFile
	f, err := s.disk.open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("snapshot %s: %w", id, err)
	}
	crc := crc64.New(crc64.MakeTable(crc64.ECMA))
	n, err := io.Copy(crc, f)
	_ = f.Close() // it was only read
	if err != nil {
		return nil, nil, fmt.Errorf("snapshot %s: %w", id, err)
	}
	if n != m.Size || !bytes.Equal(crc.Sum(nil), m.CRC) {
		return nil, nil, fmt.Errorf("snapshot %s: CRC mismatch: %d bytes, %d were written", id, n, m.Size)
	}
	if f, err = s.disk.open(name); err != nil {
		return nil, nil, fmt.Errorf("snapshot %s: %w", id, err)
	}
	return &m.SnapshotMeta, readCloser{bufio.NewReaderSize(f, 1<<20), f}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// reap removes the snapshots beyond those that are kept. Each loses its name
// first: what is left of it after a power cut is cleared away at the next start.
func (s *snapshots) reap() error {
	kept, err := s.List()
	if err != nil {
		return err
	}
	names, err := s.disk.list(".")
	if err != nil {
		return err
	}
	for _, name := range names {
		if !isSnapshot(name) {
			continue
		}
		m, err := s.describe(name)
		if err != nil || slices.ContainsFunc(kept, func(k *raft.SnapshotMeta) bool { return k.ID == m.ID }) {
			continue
		}
		err = s.disk.rename(name, name+unfinished)
		if err == nil {
			err = s.disk.syncDir(".")
		}
		if err == nil {
			err = s.removeAll(name + unfinished)
		}
		if err != nil {
			return fmt.Errorf("removing snapshot %s: %w", name, err)
		}
	}
	return nil
}

// Writing a snapshot takes a processor for as long as exchanges that people wait for,
// and nobody waits for it: after so many bytes it rests for so long.
const (
	sinkSlice = 256 << 10
	sinkRest  = 4 * time.Millisecond
)

// snapshotSink is a snapshot being written.
type snapshotSink struct {
	store  *snapshots
	meta   described
	file   file
	buffer *bufio.Writer
	crc    hash.Hash64
	ended  bool
}

// ID is the snapshot's name.
func (k *snapshotSink) ID() string { return k.meta.ID }

// Write adds bytes of the state.
func (k *snapshotSink) Write(b []byte) (int, error) {
	n, err := k.buffer.Write(b)
	k.crc.Write(b[:n])
	if before := k.meta.Size / sinkSlice; (k.meta.Size+int64(n))/sinkSlice > before {
		time.Sleep(sinkRest)
	}
	k.meta.Size += int64(n)
	return n, err
}

// Close puts the snapshot onto the disk, under its name.
func (k *snapshotSink) Close() error {
	if k.ended {
		return nil
	}
	k.ended = true
	if err := k.finish(); err != nil {
		return fmt.Errorf("snapshot %s: %w", k.meta.ID, err)
	}
	return k.store.reap()
}

func (k *snapshotSink) finish() error {
	dir, d := k.meta.ID+unfinished, k.store.disk
	if err := errors.Join(k.buffer.Flush(), k.file.Sync(), k.file.Close()); err != nil {
		return err
	}
	k.meta.CRC = k.crc.Sum(nil)
	b, err := json.Marshal(&k.meta)
	if err != nil {
		return err
	}
	f, err := d.create(dir + "/" + metaFile)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := d.syncDir(dir); err != nil {
		return err
	}
	if err := d.rename(dir, k.meta.ID); err != nil {
		return err
	}
	if planted.Is(planted.DropSnapshotDirSync) {
		return nil
	}
	return d.syncDir(".")
}

// Cancel gives the snapshot up.
func (k *snapshotSink) Cancel() error {
	if k.ended {
		return nil
	}
	k.ended = true
	return errors.Join(k.file.Close(), k.store.removeAll(k.meta.ID+unfinished))
}
