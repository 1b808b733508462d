package fsutil

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// Space is the room on the disk that a folder is on, in bytes: what may still
// be written by this user, and all of it.
func Space(dir string) (free, total int64, err error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, fmt.Errorf("room on the disk of %s: %w", dir, err)
	}
	var available, whole uint64
	if err := windows.GetDiskFreeSpaceEx(path, &available, &whole, nil); err != nil {
		return 0, 0, fmt.Errorf("room on the disk of %s: %w", dir, err)
	}
	return int64(available), int64(whole), nil
}
