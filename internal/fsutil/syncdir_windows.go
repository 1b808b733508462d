package fsutil

import (
	"errors"
	"io/fs"
	"syscall"
)

// errInvalidFunction is what a file system answers that has no such call.
const errInvalidFunction = syscall.Errno(1)

// syncDir flushes a directory's own handle. NTFS then writes its log; file
// systems that refuse to (FAT, some network shares) keep their names in their
// own time, and nothing more can be asked of them.
func syncDir(path string) error {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_WRITE,
		syscall.FILE_SHARE_READ|syscall.FILE_SHARE_WRITE|syscall.FILE_SHARE_DELETE,
		nil, syscall.OPEN_EXISTING, syscall.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return unlessRefused(err)
	}
	err = unlessRefused(syscall.FlushFileBuffers(h))
	if e := syscall.CloseHandle(h); err == nil {
		err = e
	}
	return err
}

func unlessRefused(err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errInvalidFunction) {
		return nil
	}
	return err
}
