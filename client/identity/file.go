package identity

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sheafgrid/sheaf/internal/fsutil"
)

// Reasons to refuse a key file. The error's text names the file and the remedy.
var (
	ErrExposed   = errors.New("key file can be read by others")
	ErrMalformed = errors.New("key file is not valid")
)

// Kind says whose key a file holds, so that one is not taken for the other.
type Kind string

// The kinds of keys.
const (
	Account Kind = "account" // of a person or an institution
	Host    Kind = "host"    // of one machine
)

// maxFile bounds a key file, in bytes; one that this package wrote has about 300.
const maxFile = 4 << 10

// Load reads the key of a kind from the file at path. The error wraps
// fs.ErrNotExist where there is none, and ErrExposed or ErrMalformed where the
// file is refused.
func Load(path string, kind Kind) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s key: %w", kind, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s key: %w", kind, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no file; name the file that holds the %s key", ErrMalformed, path, kind)
	}
	if exposed(info) {
		return nil, fmt.Errorf("%w: %s has permissions %04o; run: chmod 600 '%s'", ErrExposed, path, info.Mode().Perm(), path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s key: %w", kind, err)
	}
	key, err := decode(b, kind)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w; put its copy back, or move the file away to get a new key (and with it a new name)", ErrMalformed, path, err)
	}
	return key, nil
}

// LoadOrCreate reads the key of a kind from the file at path, or makes one from
// random, with the folder that it goes to. created says that it did. When two
// programs do so at the same moment, both get the same key.
func LoadOrCreate(path string, kind Kind, random io.Reader) (key ed25519.PrivateKey, created bool, err error) {
	key, err = Load(path, kind)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, false, fmt.Errorf("%s key: drawing a new one: %w", kind, err)
	}
	key = ed25519.NewKeyFromSeed(seed)
	if err := fsutil.MkdirAllSync(filepath.Dir(path), 0o700); err != nil {
		return nil, false, fmt.Errorf("%s key: %w", kind, err)
	}
	err = writeNew(path, encode(key, kind))
	if errors.Is(err, fs.ErrExist) {
		key, err = Load(path, kind)
		return key, false, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s key: %w", kind, err)
	}
	return key, true, nil
}

// writeNew makes a file that only its owner can read. It is there whole or not
// at all, and never takes the place of another.
func writeNew(path string, data []byte) error {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	f, err := os.CreateTemp(dir, "."+base+"-*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return err
		}
		// Some file systems have no links. There, two programs that make the
		// key at the same moment are not told apart.
		if _, err := os.Lstat(path); err == nil {
			return fs.ErrExist
		}
		if err := os.Rename(f.Name(), path); err != nil {
			return err
		}
	}
	return fsutil.SyncDir(dir)
}
