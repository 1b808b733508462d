package sandbox

import (
	"sync/atomic"

	"github.com/sheafgrid/sheaf/client/sandbox/wasi"
	"github.com/sheafgrid/sheaf/task"
)

// Engine chooses how a program is run. The outcome does not depend on it.
type Engine uint8

// The engines.
const (
	// EngineCompiler translates the program to machine code first. Where
	// wazero has no compiler for a machine, or may not make memory executable,
	// it interprets instead.
	EngineCompiler Engine = iota
	// EngineInterpreter needs no memory that is both written and executed, and
	// is about seventy times slower. Programs that nest calls deeper than 2,000
	// are beyond it: it answers ErrEngine.
	EngineInterpreter
	engineEnd
)

// String names the engine.
func (e Engine) String() string {
	if e == EngineInterpreter {
		return "wazero interpreter"
	}
	return "wazero compiler"
}

// program is a rewritten module and what it is to run with.
type program struct {
	module []byte
	limits task.Limits
	system *wasi.System
	work   *atomic.Uint64 // the count as of the last call, for progress
	begins func()         // called when all is ready and the program begins
}

// ending is how a program ended.
type ending struct {
	exit task.Exit
	work uint64
}
