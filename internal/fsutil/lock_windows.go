package fsutil

import (
	"errors"
	"os"
	"syscall"
)

// errSharingViolation is what a second opener of the lock file gets.
const errSharingViolation = syscall.Errno(32)

// openLocked opens the lock file in a way that lets others read it but not
// open it for writing: on Windows that is the lock.
func openLocked(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.FILE_SHARE_READ,
		nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errSharingViolation) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), path), nil
}
