package task

import "fmt"

// Exit is how a program ended. It is a result like any other: the same task
// ends the same way on every machine.
//
//	0        done
//	1–63     the program's own error
//	128–191  stopped by the sandbox, at the same point everywhere (a trap)
type Exit uint16

// The ways a sandbox stops a program.
const (
	ExitUnreachable   Exit = 128 + iota // the program executed "unreachable" (abort, assert, panic)
	ExitMemoryBounds                    // a memory access out of bounds
	ExitDivideByZero                    // an integer division by zero
	ExitIntOverflow                     // an integer division or conversion that overflows
	ExitTableBounds                     // an indirect call or table access out of bounds
	ExitIndirectType                    // an indirect call of another type
	ExitStackOverflow                   // calls nested too deeply
	ExitWorkLimit                       // the task's limit on work
	ExitOutputLimit                     // the task's limit on outputs
	ExitBadCode                         // proc_exit with a code outside of 0–63
	ExitBadOutput                       // a file name under /out that CheckPath refuses
	exitTrapEnd
)

// ExitFailed stands in a result tree for a task that ended failed: its
// attempts ran out before enough of them agreed.
const ExitFailed Exit = 0xffff

var exitNames = [...]string{
	"unreachable code executed", "memory access out of bounds", "integer division by zero", "integer overflow",
	"table access out of bounds", "indirect call of the wrong type", "stack overflow", "work limit reached",
	"output limit reached", "exit code outside of 0-63", "output file name not allowed",
}

// Valid reports whether a client may report e.
func (e Exit) Valid() bool { return e <= 63 || e.Trap() }

// Trap reports whether the sandbox stopped the program.
func (e Exit) Trap() bool { return e >= ExitUnreachable && e < exitTrapEnd }

// String says how the program ended, in words.
func (e Exit) String() string {
	switch {
	case e == 0:
		return "done"
	case e <= 63:
		return fmt.Sprintf("exit %d", uint16(e))
	case e.Trap():
		return "trap: " + exitNames[e-ExitUnreachable]
	case e == ExitFailed:
		return "failed"
	}
	return fmt.Sprintf("unknown exit %d", uint16(e))
}
