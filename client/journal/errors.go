package journal

import "errors"

// Why a journal cannot be opened or used. The error's text names the file.
var (
	// ErrDamaged: what is on the disk is not what was written.
	ErrDamaged = errors.New("journal is damaged")

	// ErrNewer: it was written by a newer version of Sheaf.
	ErrNewer = errors.New("journal was written by a newer version")

	// ErrInUse: another program has it open.
	ErrInUse = errors.New("journal is in use")

	// ErrOther: it belongs to another cluster, host or account.
	ErrOther = errors.New("journal belongs to another")
)

// What a caller did wrong. The journal is unchanged.
var (
	ErrOrder    = errors.New("request out of order")
	ErrUnknown  = errors.New("attempt is not in the journal")
	ErrFinished = errors.New("attempt has a result already")
)
