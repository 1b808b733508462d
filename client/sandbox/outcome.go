package sandbox

import (
	"time"

	"github.com/sheafgrid/sheaf/task"
)

// maxDiagnostic bounds Outcome.Diagnostic.
const maxDiagnostic = 4 << 10

// Outcome is a result: the same request has the same outcome on every machine,
// but for CPU.
type Outcome struct {
	Exit task.Exit
	Work uint64 // counted instructions

	// Outputs lists what the program left. It is empty after a trap.
	Outputs task.OutputList

	// Contents are the bytes of Outputs, in the same order; nil where
	// Request.Output took them.
	Contents [][]byte

	// Diagnostic is the beginning of what the program wrote to standard error,
	// at most 4 KiB, for people: after a trap nothing else is left of it. It is
	// no part of the result. A stranger wrote it; what cannot be shown in it is
	// replaced.
	Diagnostic string

	// CPU is the processor time that the child process took, compiling
	// included. It is no part of the result.
	CPU time.Duration
}

// Progress is a sign of life: one comes when the program begins, and about one
// a second.
type Progress struct {
	CPU time.Duration // processor time that the child process has taken so far

	// Work is the count of instructions as it was when the program last called
	// the system. It stands still while a program only computes: nothing can
	// read an engine's counter while the engine runs.
	Work uint64
}
