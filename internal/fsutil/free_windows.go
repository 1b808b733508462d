package fsutil

import (
	"fmt"
	"math"

	"golang.org/x/sys/windows"
)

// FreeBytes is how many bytes may still be written to the file system that path
// is on, by this user.
func FreeBytes(path string) (int64, error) {
	name, err := windows.UTF16PtrFromString(path)
	var free uint64
	if err == nil {
		err = windows.GetDiskFreeSpaceEx(name, &free, nil, nil)
	}
	if err != nil {
		return 0, fmt.Errorf("free space at %s: %w", path, err)
	}
	return int64(min(free, math.MaxInt64)), nil
}
