package consensus

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/sheafgrid/sheaf/coordinator/state"
)

// Inspection is what Inspect found in a raft folder.
type Inspection struct {
	Snapshot uint64       // index of the newest snapshot; 0: there is none
	First    uint64       // entry in the log; 0: it is empty
	Last     uint64       // entry in the log; 0: it is empty
	Reached  uint64       // everything up to this entry was applied once
	Torn     int64        // bytes at the end of the log that a write left that did not end
	Index    uint64       // of the last entry that State has
	State    *state.State // nil if it cannot be made
	Damage   []error      // each names its file
}

// Inspect reads a raft folder that no node uses, and writes nothing: every byte
// of its log and snapshots. It replays the log over the newest snapshot, up to
// the entry upTo, or the last one if that is 0. Entries at the end may not be
// committed: a node that comes back may drop them. Its error means that it could
// not look; what is wrong with the files is in Damage.
func Inspect(dir string, upTo uint64) (Inspection, error) {
	var in Inspection
	if _, err := os.Stat(dir); err != nil {
		return in, err
	}
	in.State = state.New()
	if err := in.readSnapshots(filepath.Join(dir, "snapshots")); err != nil {
		return in, err
	}
	if f, err := os.Open(filepath.Join(dir, reachedName)); err == nil {
		in.Reached, _, err = readReached(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return in, err
		}
	}
	files, err := in.readLog(filepath.Join(dir, "log"))
	if err != nil {
		return in, err
	}
	if last := max(in.Last, in.Snapshot); last < in.Reached {
		in.damaged(lostEntries(filepath.Join(dir, "log"), last, in.Reached))
	}
	in.replay(files, upTo)
	return in, nil
}

func (in *Inspection) damaged(err error) { in.Damage = append(in.Damage, err) }

// snapshotMeta is how raft describes a snapshot.
type snapshotMeta struct {
	raft.SnapshotMeta
	CRC []byte
}

// readSnapshots reads all snapshots and restores the newest.
func (in *Inspection) readSnapshots(dir string) error {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var metas []snapshotMeta
	for _, e := range names {
		if !e.IsDir() || strings.HasSuffix(e.Name(), ".tmp") {
			continue
		}
		path := filepath.Join(dir, e.Name(), "meta.json")
		var m snapshotMeta
		b, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(b, &m)
		}
		if err != nil {
			in.damaged(fmt.Errorf("snapshot %s: %w: its description cannot be read: %w", path, ErrDamaged, err))
			in.State = nil
			continue
		}
		m.ID = e.Name()
		metas = append(metas, m)
	}
	slices.SortFunc(metas, func(a, b snapshotMeta) int {
		return cmp.Or(cmp.Compare(b.Term, a.Term), cmp.Compare(b.Index, a.Index), cmp.Compare(b.ID, a.ID))
	})
	for i, m := range metas {
		s, err := readSnapshot(filepath.Join(dir, m.ID, "state.bin"), m, i == 0)
		if err != nil {
			in.damaged(err)
		}
		if i == 0 {
			in.Snapshot, in.Index, in.State = m.Index, m.Index, s
		}
	}
	return nil
}

// readSnapshot checks a snapshot, and returns the state in it if that is wanted.
func readSnapshot(path string, m snapshotMeta, wanted bool) (s *state.State, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("snapshot %s: %w: %w", path, ErrDamaged, err)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	r := bufio.NewReaderSize(io.TeeReader(f, sum), 1<<20)
	if wanted {
		s, err = state.Restore(r)
	}
	if _, e := io.Copy(io.Discard, r); err == nil {
		err = e
	}
	if got := sum.Sum(nil); err == nil && !bytes.Equal(got, m.CRC) {
		err = fmt.Errorf("its checksum is %x, its bytes give %x", m.CRC, got)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// readMeta reads what raft-wal says of its files, without writing to its
// database. bbolt panics at some kinds of damage.
func readMeta(dir string) (s types.PersistentState, err error) {
	path := filepath.Join(dir, metadb.FileName)
	if _, err := os.Stat(path); err != nil {
		return s, err // bbolt would make it
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %w: %v", path, ErrDamaged, p)
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return s, fmt.Errorf("%s is in use by another process", path)
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(metadb.MetaBucket))
		if b == nil {
			return fmt.Errorf("%w: it says nothing of the log", ErrDamaged)
		}
		if raw := b.Get([]byte(metadb.MetaKey)); raw != nil {
			return json.Unmarshal(raw, &s)
		}
		return nil // an empty log
	})
	if err != nil {
		err = fmt.Errorf("%s: %w: %w", path, ErrDamaged, err)
	}
	return s, errors.Join(err, db.Close())
}

// readLog reads all files of the log.
func (in *Inspection) readLog(dir string) ([]*logFile, error) {
	meta, err := readMeta(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		in.damaged(fmt.Errorf("log in %s: %w: %w", dir, ErrDamaged, err))
		return nil, nil
	}
	var files []*logFile
	for _, info := range meta.Segments {
		f, err := readLogFile(dir, info)
		if err != nil {
			in.damaged(err)
		}
		in.Torn += f.torn
		if first := max(info.MinIndex, info.BaseIndex); len(f.entries) > 0 && f.last() >= first {
			if in.First == 0 {
				in.First = first
			}
			in.Last = f.last()
		}
		files = append(files, f)
	}
	if in.First > in.Snapshot+1 {
		in.damaged(fmt.Errorf("log in %s: %w: the newest snapshot ends with entry %d, and the log begins with entry %d", dir, ErrDamaged, in.Snapshot, in.First))
	}
	return files, nil
}

// replay applies the entries behind the snapshot, as far as they follow each
// other.
func (in *Inspection) replay(files []*logFile, upTo uint64) {
	if upTo > 0 && upTo < in.Snapshot {
		in.State = nil // the log does not reach back so far
	}
	for _, f := range files {
		for i, b := range f.entries {
			index := f.info.BaseIndex + uint64(i)
			if index < f.info.MinIndex || index > f.last() || index <= in.Snapshot || upTo > 0 && index > upTo {
				continue
			}
			if err := in.apply(index, b); err != nil {
				in.damaged(fmt.Errorf("log %s: %w: entry %d: %w", f.path, ErrDamaged, index, err))
				in.State = nil
			}
		}
	}
}

// apply applies one entry. raft-wal's decoder and the state take it for granted
// that whoever wrote it meant it.
func (in *Inspection) apply(index uint64, b []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it makes no sense: %v", p)
		}
	}()
	var l raft.Log
	if err := (&wal.BinaryCodec{}).Decode(b, &l); err != nil {
		return err
	}
	if l.Index != index {
		return fmt.Errorf("it says that it is entry %d", l.Index)
	}
	now, commands, err := state.DecodeEntry(l.Data)
	if l.Type != raft.LogCommand {
		commands, err = nil, nil
	}
	if err != nil || in.State == nil || index != in.Index+1 {
		return err
	}
	if l.Type == raft.LogCommand {
		in.State.Apply(now, commands)
	}
	in.Index = index
	return nil
}
