package sandbox

import "errors"

// Run's errors. A nil error means a result. ErrBadProgram and ErrBadRequest
// are the same on every machine, so trying elsewhere is of no use; all others
// say that this attempt failed here. An attempt that was cancelled returns the
// cause of its context.
var (
	// ErrBadRequest: the request breaks a bound, or its inputs cannot be laid
	// out as files.
	ErrBadRequest = errors.New("task cannot be run")

	// ErrBadProgram: the module is not one that Sheaf runs. Nothing of it ran.
	ErrBadProgram = errors.New("program refused")

	// ErrMeter: this Sheaf does not know the version of the meter. A newer one
	// may.
	ErrMeter = errors.New("meter version is not known to this version of Sheaf")

	// ErrWallLimit: the attempt took longer than the task's limit on time.
	ErrWallLimit = errors.New("the task's limit on time has passed")

	// ErrInput: an input could not be read, or is not as long as it was said
	// to be.
	ErrInput = errors.New("input cannot be read")

	// ErrEngine: the engine gave up where the program's contract does not say
	// that the program ends.
	ErrEngine = errors.New("the WebAssembly engine failed")

	// ErrChildDied: the child process ended without an answer: it crashed, or
	// something on this machine killed it, as a system out of memory does.
	ErrChildDied = errors.New("the sandbox process died")

	// ErrBadReply: the child process answered what cannot be. It was killed.
	ErrBadReply = errors.New("the sandbox process sent a malformed answer")
)
