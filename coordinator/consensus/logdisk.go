package consensus

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/internal/planted"
)

// logDisk is where the files of the log are.
type logDisk interface {
	types.VFS
	syncDir(dir string) error
}

// osLogDisk is raft-wal's own, but for files that go: four or five of 16 MiB with
// each snapshot, which held up a fifth of what came at the time for 20 ms.
type osLogDisk struct {
	*walfs.FS
	going *going
}

// going are files that have no name any more.
type going struct {
	each sync.WaitGroup
	turn sync.Mutex // one shrinks at a time
}

func newOSLogDisk() osLogDisk { return osLogDisk{walfs.New(), new(going)} }

func (osLogDisk) syncDir(dir string) error { return fsutil.SyncDir(dir) }

// Delete removes a file. Its room is given back in steps, some of them later.
func (d osLogDisk) Delete(dir, name string) error {
	if runtime.GOOS == "windows" {
		return d.FS.Delete(dir, name) // what is open keeps its name there
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
	if err != nil {
		return d.FS.Delete(dir, name) // says what is wrong
	}
	if err := d.FS.Delete(dir, name); err != nil {
		return errors.Join(err, f.Close())
	}
	d.going.each.Go(func() { d.going.shrink(f) })
	return nil
}

// Close waits for the files that go.
func (d osLogDisk) Close() error {
	d.going.each.Wait()
	return nil
}

func (g *going) shrink(f *os.File) {
	g.turn.Lock()
	defer g.turn.Unlock()
	if info, err := f.Stat(); err == nil {
		fsutil.Shrink(f, info.Size(), time.Now().Add(fsutil.ShrinkAtMost))
	}
	_ = f.Close() // nobody wants what was in it
}

// syncedFiles sees to it that what is found in the last file of the log, when
// a node starts, is on the disk: raft counts it as that. The process before may
// have been killed between a write and its sync, and even before the file's
// name was synced; raft-wal syncs the name only of a file that it made itself.
type syncedFiles struct{ logDisk }

// Create makes a file.
func (d syncedFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	f, err := d.logDisk.Create(dir, name, size)
	if err == nil && planted.Is(planted.AckBeforeSync) {
		return unsynced{f}, nil
	}
	return f, err
}

// unsynced is a file that only says that it was synced.
type unsynced struct{ types.WritableFile }

// Sync does nothing.
func (unsynced) Sync() error { return nil }

// OpenWriter opens a file to go on writing to it.
func (d syncedFiles) OpenWriter(dir, name string) (types.WritableFile, error) {
	f, err := d.logDisk.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	if err := cutTorn(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), d.syncDir(dir)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
