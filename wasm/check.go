package wasm

import "fmt"

// Names of what a program exports by custom of the WebAssembly system
// interface.
const (
	// StartExport is the function that runs the program.
	StartExport = "_start"

	// MemoryExport is the memory in which host functions read and write.
	MemoryExport = "memory"
)

// Rules are what a program may be and need. The zero value refuses every
// program.
type Rules struct {
	MaxBytes     int    // of the module
	MaxFunctions int    // with code
	MaxLocals    int    // of one function, parameters included; at most 49,984 whatever is said here
	MaxParams    int    // of one function
	MaxTable     uint32 // elements of all tables together, as far as they may grow
	MaxPages     uint32 // of memory at the start, in pages of 64 KiB; growing further is the engine's to refuse

	// Imports are the functions that the host provides. A module may import
	// these, with these signatures, and nothing else.
	Imports []Import
}

// ProgramRules are the rules for programs that volunteers run: the bounds that
// hold for everybody, the imports of Preview1, and memory of up to the given
// number of pages at the start.
func ProgramRules(pages uint32) Rules {
	return Rules{
		MaxBytes:     32 << 20,
		MaxFunctions: 100_000,
		MaxLocals:    maxLocals,
		MaxParams:    maxParams,
		MaxTable:     1_000_000,
		MaxPages:     pages,
		Imports:      Preview1(),
	}
}

// Check decides whether a module is a program that volunteers can run: it is
// valid, keeps to what every engine supports and does alike, can be metered,
// exports StartExport without parameters and results and its one memory as
// MemoryExport, and keeps to the rules. Rewrite takes what Check accepts,
// unless the meter makes it too large.
//
// Errors wrap ErrNotWasm, ErrInvalid, ErrUnsupported, ErrImport, ErrExport or
// ErrTooLarge, and say what the program's author can change.
func Check(module []byte, rules Rules) (Info, error) {
	if len(module) > rules.MaxBytes {
		return Info{}, tooLarge("it takes %d bytes, at most %d are allowed: build with -Os or --strip-all, and move data into input files",
			len(module), rules.MaxBytes)
	}
	m, err := read(module)
	if err != nil {
		return Info{}, err
	}
	if err := m.checkLinked(); err != nil {
		return Info{}, err
	}
	if err := m.checkImports(rules.Imports); err != nil {
		return Info{}, err
	}
	if err := m.checkExports(); err != nil {
		return Info{}, err
	}
	if err := m.checkMeterable(); err != nil {
		return Info{}, err
	}
	if err := m.checkSizes(rules); err != nil {
		return Info{}, err
	}
	if err := m.validateCode(); err != nil {
		return Info{}, err
	}
	if err := m.checkTables(rules.MaxTable); err != nil {
		return Info{}, err
	}
	return m.info(), nil
}

// checkExports looks for what the host calls and reads.
func (m *module) checkExports() error {
	var start, memory *Export
	initialize := false
	for i := range m.exports {
		switch e := &m.exports[i]; e.Name {
		case StartExport:
			start = e
		case MemoryExport:
			memory = e
		case "_initialize":
			initialize = true
		}
	}
	switch {
	case start == nil && initialize:
		return fmt.Errorf("%w: it is a library (a reactor) without the function %s; give it a main function and build without -mexec-model=reactor",
			ErrExport, StartExport)
	case start == nil:
		return fmt.Errorf("%w: the function %s is missing; give the program a main function, and link it without --no-entry and -nostartfiles",
			ErrExport, StartExport)
	case start.Kind != KindFunction:
		return fmt.Errorf("%w: %s is a %s, not a function", ErrExport, StartExport, start.Kind)
	case len(start.Func.Params)+len(start.Func.Results) > 0:
		return fmt.Errorf("%w: %s is %s, but nobody gives it parameters or takes its results; it is made by the linker from main",
			ErrExport, StartExport, start.Func)
	case memory == nil:
		return fmt.Errorf("%w: the memory is missing; export it as %q", ErrExport, MemoryExport)
	case memory.Kind != KindMemory:
		return fmt.Errorf("%w: %q is a %s, not a memory; rename it", ErrExport, MemoryExport, memory.Kind)
	}
	return nil
}

// checkSizes compares a module that was read with the bounds of the rules.
func (m *module) checkSizes(rules Rules) error {
	if n := len(m.bodies); n > rules.MaxFunctions {
		return tooLarge("it has %d functions, at most %d are allowed: link with --gc-sections", n, rules.MaxFunctions)
	}
	for _, t := range m.types {
		if n := len(t.Params); n > rules.MaxParams {
			return tooLarge("a function takes %d parameters, at most %d are allowed: pass a pointer to a structure", n, rules.MaxParams)
		}
	}
	for i, b := range m.bodies {
		function := m.importedFunctions + i
		if n := int(b.count) + len(m.typeOf(function).Params); n > rules.MaxLocals {
			return tooLarge("function %d has %d local variables, at most %d are allowed: split it", function, n, rules.MaxLocals)
		}
	}
	for _, memory := range m.memories {
		if memory.Min > rules.MaxPages {
			return tooLarge("it needs %d KiB of memory to start, at most %d are allowed: "+
				"raise limits.memory of the job, or make global arrays and the stack (-Wl,-z,stack-size) smaller",
				uint64(memory.Min)*64, uint64(rules.MaxPages)*64)
		}
	}
	return nil
}

// checkTables bounds tables, at the start and wherever they can grow: they
// take memory that no limit of the task counts, and engines differ in how far
// they let a table without a maximum grow.
func (m *module) checkTables(most uint32) error {
	total := uint64(0)
	for i, t := range m.tables {
		size := t.limits.Min
		if m.grown[i] {
			if !t.limits.HasMax {
				return unsupported("grows table %d, which is not bounded: declare a maximum of up to %d elements", i, most)
			}
			size = t.limits.Max
		}
		if total += uint64(size); total > uint64(most) {
			return tooLarge("its tables have up to %d elements, at most %d are allowed", total, most)
		}
	}
	return nil
}
