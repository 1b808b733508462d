package fsutil

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFileAtomic replaces the file at path by data. Whoever reads path, also
// after a power cut, finds the old bytes or the new ones, never a mixture;
// when it returns nil, the new ones are on the disk. The file gets exactly
// perm, whatever the umask is. A symbolic link at path is replaced, not
// followed.
//
// A process that is killed meanwhile can leave a file named
// ".<name>-<number>.tmp" beside path. It is safe to delete.
func WriteFileAtomic(path string, data []byte, perm fs.FileMode) error {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	f, err := os.CreateTemp(dir, "."+base+"-*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := fill(f, data, perm); err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return SyncDir(dir)
}

// fill writes and closes f.
func fill(f *os.File, data []byte, perm fs.FileMode) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// SyncDir puts the names in a directory onto the disk: what was created,
// renamed or removed in it stays so after a power cut. Windows file systems
// that offer no such call are left to their own journal.
func SyncDir(path string) error {
	if err := syncDir(path); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}

// MkdirAllSync makes a directory and its missing parents, with perm before
// the umask, and syncs each directory that got a new name in it. A directory
// that exists is left as it is.
func MkdirAllSync(path string, perm fs.FileMode) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("make directory %s: a file of that name is in the way", path)
	case !os.IsNotExist(err):
		return fmt.Errorf("make directory %s: %w", path, err)
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := MkdirAllSync(parent, perm); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, perm); err != nil && !os.IsExist(err) {
		return fmt.Errorf("make directory %s: %w", path, err)
	}
	return SyncDir(parent)
}
