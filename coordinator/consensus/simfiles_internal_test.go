package consensus

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/types"

	"github.com/sheafgrid/sheaf/internal/simdisk"
)

// simFiles is a node's folder on a simulated disk: the log's files in "log",
// the snapshots in ".", and the log's metadata, which bbolt writes to a real
// file, as images of that.
type simFiles struct {
	t    *testing.T
	disk *simdisk.Disk

	mu     sync.Mutex // one commit at a time, as bbolt has it
	meta   metaImage
	broken error // a commit's: none comes after it

	// raft panics where a term cannot be stored. Set, votes take no steps, and
	// what is stored after the power went is quietly lost: the node is dead by
	// then.
	quietVotes bool
}

func newSimFiles(t *testing.T) *simFiles {
	t.Helper()
	s := &simFiles{t: t, disk: simdisk.New()}
	if err := errors.Join(s.disk.Mkdir("log"), s.disk.Mkdir("kept"), s.disk.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens the log and the snapshots.
func (s *simFiles) open() (*wal.WAL, *snapshots, error) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	return openFiles(files{
		logs: "log", segmentBytes: 1 << 12, vfs: simVFS{s.disk}, meta: &simMeta{files: s, dir: tempDir(s.t)},
		kept: "kept", snapshots: simSnapshots{s.disk},
	}, log)
}

// restart is the folder for the next process: nothing is lost, and nothing more
// is synced.
func (s *simFiles) restart(rnd *rand.Rand) {
	s.disk.AfterKill()
	s.meta, s.broken = metaImage{before: s.meta.found(rnd)}, nil
}

// afterPowerCut is the folder as it may be found later.
func (s *simFiles) afterPowerCut(rnd *rand.Rand) *simFiles {
	return &simFiles{t: s.t, quietVotes: s.quietVotes, disk: s.disk.AfterPowerCut(rnd), meta: metaImage{before: s.meta.found(rnd)}}
}

// tempDir is in memory where there is such a place: nothing in it has to
// survive.
func tempDir(t *testing.T) string {
	t.Helper()
	parent := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		parent = "/dev/shm"
	}
	dir, err := os.MkdirTemp(parent, "sheaf-sim-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// simVFS is the files of the log. It syncs what raft-wal's own does: a new
// file's name with the file's first sync, and a removal at once.
type simVFS struct{ disk *simdisk.Disk }

func (v simVFS) ListDir(dir string) ([]string, error) { return v.disk.List(dir) }

func (v simVFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := v.disk.Create(dir + "/" + name)
	if err == nil && size > 0 {
		err = f.Truncate(int64(size))
	}
	if err != nil {
		return nil, err
	}
	return &simLogFile{File: f, disk: v.disk, dir: dir}, nil
}

func (v simVFS) Delete(dir, name string) error {
	if err := v.disk.Remove(dir + "/" + name); err != nil {
		return err
	}
	return v.disk.SyncDir(dir)
}

func (v simVFS) syncDir(dir string) error { return v.disk.SyncDir(dir) }

func (v simVFS) OpenReader(dir, name string) (types.ReadableFile, error) {
	return v.OpenWriter(dir, name)
}

func (v simVFS) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := v.disk.Open(dir + "/" + name)
	if err != nil {
		return nil, err
	}
	return f, nil
}

type simLogFile struct {
	*simdisk.File
	disk  *simdisk.Disk
	dir   string
	named bool
}

func (f *simLogFile) Sync() error {
	if err := f.File.Sync(); err != nil {
		return err
	}
	if f.named {
		return nil
	}
	f.named = true
	return f.disk.SyncDir(f.dir)
}

// simSnapshots is the folder of the snapshots.
type simSnapshots struct{ disk *simdisk.Disk }

func kept(name string) string {
	if name == "." {
		return "kept"
	}
	return "kept/" + name
}

func simFile(f *simdisk.File, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (d simSnapshots) create(name string) (file, error) { return simFile(d.disk.Create(kept(name))) }
func (d simSnapshots) open(name string) (file, error)   { return simFile(d.disk.Open(kept(name))) }
func (d simSnapshots) rename(from, to string) error     { return d.disk.Rename(kept(from), kept(to)) }
func (d simSnapshots) remove(name string) error         { return d.disk.Remove(kept(name)) }
func (d simSnapshots) mkdir(name string) error          { return d.disk.Mkdir(kept(name)) }
func (d simSnapshots) syncDir(name string) error        { return d.disk.SyncDir(kept(name)) }
func (d simSnapshots) list(name string) ([]string, error) {
	return d.disk.List(kept(name))
}

// metaImage is what bbolt's file holds on the disk. While a commit goes on it
// may be anything between two images.
type metaImage struct {
	before, after []byte // before: nil means that there is no file yet; after: nil means that no commit was cut off
	metaPages     bool   // the other pages were synced, those that say which ones count were being written
}

const metaPage = 4096

// found is the file as it may be found after a power cut. bbolt writes the
// pages that nobody refers to yet, syncs, writes one of two pages that say
// which ones count, and syncs.
func (m *metaImage) found(rnd *rand.Rand) []byte {
	if m.after == nil {
		return m.before
	}
	left := append([]byte(nil), m.before...)
	for from := 0; from < len(m.after); from += metaPage {
		first := from < 2*metaPage
		to := min(from+metaPage, len(m.after))
		for len(left) < to {
			left = append(left, 0)
		}
		switch {
		case !first && m.metaPages:
			copy(left[from:to], m.after[from:to])
		case first == m.metaPages:
			torn(left[from:to], m.after[from:to], rnd)
		}
	}
	return left
}

func torn(old, now []byte, rnd *rand.Rand) {
	whole := rnd.IntN(3)
	for i := 0; i < len(old); i += 16 {
		if whole == 1 || whole == 2 && rnd.IntN(2) == 0 {
			copy(old[i:min(i+16, len(old))], now[i:])
		}
	}
}

// simMeta is the log's metadata in a real file, each commit of which takes four
// steps of the simulated disk.
type simMeta struct {
	metadb.BoltMetaDB
	files  *simFiles
	dir    string
	loaded bool
}

var _ types.MetaStore = (*simMeta)(nil)

func (m *simMeta) path() string { return filepath.Join(m.dir, metadb.FileName) }

// Load opens the file, or makes it.
func (m *simMeta) Load(string) (types.PersistentState, error) {
	if m.loaded {
		return m.BoltMetaDB.Load(m.dir)
	}
	m.loaded = true
	if m.files.meta.before == nil {
		if err := m.files.disk.Step("create"); err != nil {
			return types.PersistentState{}, err
		}
	} else if err := os.WriteFile(m.path(), m.files.meta.before, 0o600); err != nil {
		return types.PersistentState{}, err
	}
	s, err := m.BoltMetaDB.Load(m.dir)
	if err == nil {
		m.files.meta.before, err = os.ReadFile(m.path())
	}
	return s, err
}

func (m *simMeta) CommitState(s types.PersistentState) error {
	return m.commit(func() error { return m.BoltMetaDB.CommitState(s) })
}

func (m *simMeta) SetStable(k, v []byte) error {
	if m.files.quietVotes {
		return m.quietly(k, v)
	}
	return m.commit(func() error { return m.BoltMetaDB.SetStable(k, v) })
}

func (m *simMeta) quietly(k, v []byte) error {
	m.files.mu.Lock()
	defer m.files.mu.Unlock()
	if m.files.broken != nil || m.files.disk.Dead() {
		return nil
	}
	err := m.BoltMetaDB.SetStable(k, v)
	if err == nil {
		m.files.meta.before, err = os.ReadFile(m.path())
	}
	return err
}

func (m *simMeta) commit(do func() error) error {
	m.files.mu.Lock()
	defer m.files.mu.Unlock()
	if m.files.broken != nil {
		return m.files.broken
	}
	if err := do(); err != nil {
		return err
	}
	after, err := os.ReadFile(m.path())
	if err != nil {
		return err
	}
	for i, what := range []string{"write", "sync file", "write", "sync file"} {
		if err := m.files.disk.Step(what); err != nil {
			m.files.meta.after, m.files.meta.metaPages, m.files.broken = after, i >= 2, err
			return err
		}
	}
	m.files.meta = metaImage{before: after}
	return nil
}
