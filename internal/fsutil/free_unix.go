//go:build unix

package fsutil

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Free is how many bytes a process without special rights may still write to
// the file system that a path is on.
func Free(path string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", path, err)
	}
	return int64(uint64(st.Bavail) * uint64(st.Bsize)), nil
}
