//go:build linux || darwin

package fsutil

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// FreeBytes is how many bytes may still be written to the file system that path
// is on, by a process without special rights.
func FreeBytes(path string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, fmt.Errorf("free space at %s: %w", path, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
