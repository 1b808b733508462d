package fsutil

import (
	"errors"
	"syscall"
)

// The errors by which Windows says that a disk or a quota is full.
const (
	errHandleDiskFull    = syscall.Errno(39)
	errDiskFull          = syscall.Errno(112)
	errDiskQuotaExceeded = syscall.Errno(1295)
)

// IsNoSpace reports whether err says that a disk is full, or that its owner's
// share of it is.
func IsNoSpace(err error) bool {
	return errors.Is(err, errDiskFull) || errors.Is(err, errHandleDiskFull) ||
		errors.Is(err, errDiskQuotaExceeded) || errors.Is(err, syscall.ENOSPC)
}
