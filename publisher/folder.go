package publisher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/task"
)

// ErrFolder is wrapped by the error about a folder that a job cannot be
// fetched into.
var ErrFolder = errors.New("folder cannot be used")

// folder is a fetched folder that is being written. All names go through
// os.Root, so nothing lands outside; it follows no symbolic link inside either.
// Its methods may be called from several goroutines at once, but for close.
type folder struct {
	root    *os.Root
	path    string
	release func() error  // of the lock; nil where there is none
	parts   atomic.Uint64 // names the next temporary file
}

// openFolder makes the folder if it is missing, and takes it. mine says
// whether a folder with this manifest may be written; a manifest that is nil
// means that there is none.
func openFolder(dir string, mine func(*Manifest) error) (*folder, error) {
	if err := fsutil.MkdirAllSync(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	d := &folder{root: root, path: dir}
	if err := d.take(mine); err != nil {
		_ = root.Close()
		return nil, err
	}
	return d, nil
}

func (d *folder) take(mine func(*Manifest) error) error {
	if err := d.inspect(mine); err != nil { // before anything is written to a folder of somebody else
		return err
	}
	if info, err := d.root.Lstat(lockName); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s: %s in it is no ordinary file", ErrFolder, d.path, lockName)
	}
	release, err := fsutil.Lock(filepath.Join(d.path, lockName))
	if errors.Is(err, fsutil.ErrLocked) {
		return fmt.Errorf("%w: %s: another fetch writes into it: %w", ErrFolder, d.path, err)
	}
	if err == nil {
		d.release = release
	} // else this file system has no locks, as some of clusters: each file is still written whole, and checked
	err = d.inspect(mine)
	if err == nil {
		err = errors.Join(d.root.RemoveAll(partsName), d.root.Mkdir(partsName, 0o755))
	}
	if err != nil {
		d.unlock()
	}
	return err
}

// inspect refuses a folder that holds anything else than this job.
func (d *folder) inspect(mine func(*Manifest) error) error {
	names, err := listNames(d.root, ".", 1000)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrFolder, d.path, err)
	}
	m, _, err := readManifest(d.root)
	if errors.Is(err, fs.ErrNotExist) {
		m = nil
	} else if err != nil && m == nil {
		return fmt.Errorf("%w: %s: its %s is damaged (%w), so nobody can tell which job it holds; fetch into a new folder",
			ErrFolder, d.path, manifestName, err)
	}
	for _, name := range names {
		known := ownName.MatchString(name)
		if m == nil {
			known = name == lockName || name == partsName
		}
		if !known && !litter(name) {
			return fmt.Errorf("%w: %s holds other files, such as %q; fetch into a new folder", ErrFolder, d.path, clip(name))
		}
	}
	return mine(m)
}

// close gives the folder up, and removes what only served the fetch.
func (d *folder) close() {
	_ = d.root.RemoveAll(partsName)
	d.unlock()
	_ = d.root.Close()
}

// unlock removes the lock file while nobody else can hold it. Where an open
// file cannot be removed, as on Windows, it is closed first: then one that
// somebody else holds by now cannot be removed either.
func (d *folder) unlock() {
	err := d.root.Remove(lockName)
	if d.release != nil {
		_ = d.release()
	}
	if err != nil {
		_ = d.root.Remove(lockName)
	}
}

// part makes a temporary file.
func (d *folder) part() (*os.File, string, error) {
	name := fmt.Sprintf("%s/%d", partsName, d.parts.Add(1))
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	return f, name, err
}

// replace writes a file whole: whoever reads it finds the old bytes or the
// new. With sync, it is on the disk when replace returns.
func (d *folder) replace(name string, sync bool, fill func(io.Writer) error) error {
	f, part, err := d.part()
	if err != nil {
		return d.explain(err)
	}
	err = fill(f)
	if err == nil && sync {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = d.root.Rename(part, name)
	}
	if err != nil {
		_ = d.root.Remove(part)
		return fmt.Errorf("%s: %w", name, d.explain(err))
	}
	if sync {
		return fsutil.SyncDir(d.path)
	}
	return nil
}

// explain adds to an error what only a person can mend.
func (d *folder) explain(err error) error {
	if fsutil.IsNoSpace(err) {
		return fmt.Errorf("the disk that holds %s is full; free some space and run the same command again, it goes on from here: %w", d.path, err)
	}
	return err
}

// mkdirs makes the folders that a file of that name lies in. A symbolic link
// in the way is an error.
func (d *folder) mkdirs(name string) error {
	dir := path.Dir(name)
	if dir == "." {
		return nil
	}
	if err := d.mkdirs(dir); err != nil {
		return err
	}
	err := d.root.Mkdir(dir, 0o755)
	if !errors.Is(err, fs.ErrExist) {
		return d.explain(err)
	}
	info, err := d.root.Lstat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%w: %s: %s in it is no folder; remove it and run the same command again", ErrFolder, d.path, dir)
	}
	return err
}

// holds reports whether a file is there with the right bytes.
func (d *folder) holds(ctx context.Context, name string, want *task.OutputFile) bool {
	f, err := openRegular(d.root, name)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() != want.Size {
		return false
	}
	got, err := hashRange(ctx, f, 0, want.Size)
	return err == nil && got == want.Digest
}

// openRegular opens an ordinary file for reading. A symbolic link is refused;
// so is a pipe, which could make the opening wait for ever.
func openRegular(root *os.Root, name string) (*os.File, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is %s, want a file", name, kindOf(info.Mode()))
	}
	return root.Open(name)
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "no ordinary file"
}

// readRegular reads a file of limit bytes at most.
func readRegular(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: it has more than %d bytes", name, limit)
	}
	return b, err
}

// listNames lists up to limit names of a folder, in order.
func listNames(root *os.Root, dir string, limit int) ([]string, error) {
	f, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(limit)
	if err != nil && err != io.EOF {
		return nil, err
	}
	slices.SortFunc(names, strings.Compare)
	return names, nil
}
