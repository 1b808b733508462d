//go:build unix

package fsutil

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Space is the room on the disk that a folder is on, in bytes: what may still
// be written without privileges, and all of it.
func Space(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("room on the disk of %s: %w", dir, err)
	}
	block := int64(s.Bsize)
	return int64(s.Bavail) * block, int64(s.Blocks) * block, nil
}
