//go:build unix

package fsutil

import (
	"errors"
	"syscall"
)

// IsNoSpace reports whether err says that a disk is full, or that its owner's
// share of it is.
func IsNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
