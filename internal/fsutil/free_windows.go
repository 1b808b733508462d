package fsutil

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// Free is how many bytes this process's user may still write to the volume that
// a path is on.
func Free(path string) (int64, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", path, err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", path, err)
	}
	return int64(min(free, 1<<62)), nil
}
