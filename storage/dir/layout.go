package dir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/sheafgrid/sheaf/task"
)

// The names in a store's directory.
const (
	formatName = "format"
	formatPart = "format.part" // a format file being written
	lockName   = "lock"
	tmpName    = "tmp"
	blobSuffix = ".blob"

	formatPrefix  = "sheaf blobs "
	formatVersion = 1
)

func blobName(d task.Digest) string {
	hex := d.String()
	return hex[:2] + "/" + hex + blobSuffix
}

// parseBlobName reads the name of a file in a shard. ok is false for what is
// none of the store's.
func parseBlobName(shard, name string) (d task.Digest, ok bool) {
	hex, ok := strings.CutSuffix(name, blobSuffix)
	if !ok || !strings.HasPrefix(hex, shard) || hex != strings.ToLower(hex) {
		return task.Digest{}, false
	}
	d, err := task.ParseDigest(hex)
	return d, err == nil
}

// checkFormat reports whether a directory is a store (true), empty enough to
// become one (false), or neither (an error). It writes nothing.
func checkFormat(d disk, path string) (bool, error) {
	names, err := d.list(".")
	if err != nil {
		return false, fmt.Errorf("blob store %s: %w", path, err)
	}
	if !slices.Contains(names, formatName) {
		for _, n := range names {
			if n != lockName && n != formatPart {
				return false, fmt.Errorf("%s holds %q and no file named %q, so it is not a blob store; choose an empty directory", path, n, formatName)
			}
		}
		return false, nil
	}
	text, err := readFormat(d)
	if err != nil {
		return false, fmt.Errorf("blob store %s: %w", path, err)
	}
	number, ok := strings.CutPrefix(text, formatPrefix)
	number, newline := strings.CutSuffix(number, "\n")
	version, err := strconv.ParseUint(number, 10, 32)
	switch {
	case !ok || !newline || err != nil || version == 0:
		return false, fmt.Errorf("%s holds a file named %q that begins with %q, so it is not a blob store of sheaf; choose an empty directory", path, formatName, text)
	case version > formatVersion:
		return false, fmt.Errorf("the blob store %s was made by a newer version of sheaf (its format is %d, this version knows %d); update sheaf", path, version, formatVersion)
	}
	return true, nil
}

// readFormat returns how the format file begins.
func readFormat(d disk) (string, error) {
	f, err := d.open(formatName)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b [32]byte
	n, err := f.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return string(b[:n]), nil
}

// makeStore turns an empty directory into a store. The format file is durable
// before anything else is made, so that a directory with anything else in it
// and no format file was never a store.
func makeStore(d disk) error {
	if err := d.remove(formatPart); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := fmt.Sprintf("%s%d\n", formatPrefix, formatVersion)
	if err := writeFile(d, formatPart, []byte(text)); err != nil {
		return err
	}
	if err := d.rename(formatPart, formatName); err != nil {
		return err
	}
	return d.syncDir(".")
}

// writeFile makes a file whose bytes, but not yet its name, are durable.
func writeFile(d disk, name string, b []byte) error {
	f, err := d.create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// emptyTmp makes the directory for temporary files, or removes what Puts left
// in it that never ended.
func emptyTmp(d disk) error {
	if err := d.mkdir(tmpName); err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	names, err := d.list(tmpName)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := d.remove(tmpName + "/" + n); err != nil {
			return err
		}
	}
	return nil
}
