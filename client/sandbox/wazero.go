package sandbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/sheafgrid/sheaf/client/sandbox/wasi"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/wasm"
)

// run compiles and runs a program to its end. Errors wrap ErrBadProgram or
// ErrEngine.
func (p *program) run(ctx context.Context, engine Engine) (ending, error) {
	config := wazero.NewRuntimeConfig()
	if engine == EngineInterpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	rt := wazero.NewRuntimeWithConfig(ctx, config.
		WithCoreFeatures(api.CoreFeaturesV2).
		WithMemoryLimitPages(uint32(p.limits.Memory/task.WasmPage)).
		WithDebugInfoEnabled(false)) // it would parse DWARF, a stranger's
	guest := &guest{program: p}
	if err := guest.offer(ctx, rt); err != nil {
		return ending{}, err
	}
	code, err := rt.CompileModule(ctx, p.module)
	if err != nil {
		return ending{}, fmt.Errorf("%w: it refuses what Sheaf's own check accepted: %w", ErrEngine, err)
	}
	ctx = experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(allocate))
	mod, err := rt.InstantiateModule(ctx, code, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil { // its data or its table's elements begin outside of what they belong in
		return ending{}, fmt.Errorf("%w: it cannot be laid out: %w", ErrBadProgram, err)
	}
	return guest.start(ctx, mod)
}

// memory is a program's memory, reserved once at its full length: growing it
// moves nothing, and the operating system gives pages as they are touched.
// (wazero's own would copy as it grows, up to four times the size.)
type memory []byte

func allocate(_, most uint64) experimental.LinearMemory { return memory(make([]byte, most)) }

// Reallocate returns the first size bytes.
func (m memory) Reallocate(size uint64) []byte { return m[:size] }

// Free leaves the memory to the end of the process.
func (m memory) Free() {}

// guest joins a running program to its system.
type guest struct {
	program *program
	memory  api.Memory
	count   api.Global
	calls   callGate
}

// Read gives package wasi the program's memory.
func (g *guest) Read(offset, n uint32) ([]byte, bool) { return g.memory.Read(offset, n) }

// offer makes the system's functions importable.
func (g *guest) offer(ctx context.Context, rt wazero.Runtime) error {
	functions := wasi.Functions()
	host := rt.NewHostModuleBuilder(functions[0].Module)
	for _, f := range functions {
		host.NewFunctionBuilder().WithGoFunction(g.function(f), valueTypes(f.Func.Params), valueTypes(f.Func.Results)).Export(f.Name)
	}
	if _, err := host.Instantiate(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrEngine, err)
	}
	return nil
}

func valueTypes(list []wasm.ValueType) []api.ValueType {
	types := make([]api.ValueType, len(list))
	for i, t := range list {
		types[i] = api.ValueType(t)
	}
	return types
}

// function is one function of the system, as wazero calls it: arguments and
// result share a stack. A stop leaves the program by a panic, wazero's way.
func (g *guest) function(f wasi.Function) api.GoFunc {
	return func(_ context.Context, stack []uint64) {
		g.program.work.Store(g.count.Get())
		g.calls.pass()
		number, err := f.Call(g.program.system, g, stack[:len(f.Func.Params)])
		if err != nil {
			panic(err)
		}
		if len(f.Func.Results) > 0 {
			stack[0] = uint64(number)
		}
	}
}

// start calls the program's start function and tells how it ended.
func (g *guest) start(ctx context.Context, mod api.Module) (ending, error) {
	limit, ok := mod.ExportedGlobal(wasm.LimitExport).(api.MutableGlobal)
	start := mod.ExportedFunction(wasm.StartExport)
	g.memory, g.count = mod.ExportedMemory(wasm.MemoryExport), mod.ExportedGlobal(wasm.CountExport)
	if !ok || start == nil || g.memory == nil || g.count == nil {
		return ending{}, fmt.Errorf("%w: the rewritten module lacks an export", ErrEngine)
	}
	limit.Set(g.program.limits.Work)
	g.program.begins()
	// wazero may have chosen to interpret, and does not say so.
	interpreted := fmt.Sprintf("%T", start) == "*interpreter.callEngine"
	if !interpreted {
		g.calls.begin()
	}
	_, err := start.Call(ctx)
	g.calls.end()
	work := g.count.Get()
	g.program.work.Store(work)
	if work > g.program.limits.Work {
		return ending{task.ExitWorkLimit, work}, nil
	}
	exit, err := exitOf(err)
	if exit == task.ExitStackOverflow && interpreted {
		// The interpreter nests 2,000 calls, whatever they hold: too few to be
		// taken for the program's fault.
		return ending{}, fmt.Errorf("%w: calls nested too deeply for the interpreter", ErrEngine)
	}
	return ending{exit, work}, err
}

// exitOf tells from the error of a start function how the program ended.
func exitOf(err error) (task.Exit, error) {
	var stopped *wasi.Stop
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &stopped):
		return stopped.Exit, nil
	}
	inner := err
	for next := errors.Unwrap(inner); next != nil; next = errors.Unwrap(inner) {
		inner = next
	}
	// wazero keeps its errors in an internal package; their type and text are
	// all that can be seen of them. The tests hold each of them still.
	if fmt.Sprintf("%T", inner) == "*wasmruntime.Error" {
		if exit, ok := traps[inner.Error()]; ok {
			return exit, nil
		}
	}
	return 0, fmt.Errorf("%w: %w", ErrEngine, err)
}

// traps are wazero's names for the ways in which WebAssembly traps.
var traps = map[string]task.Exit{
	"unreachable":                   task.ExitUnreachable,
	"out of bounds memory access":   task.ExitMemoryBounds,
	"integer divide by zero":        task.ExitDivideByZero,
	"integer overflow":              task.ExitIntOverflow,
	"invalid conversion to integer": task.ExitIntOverflow,
	"invalid table access":          task.ExitTableBounds,
	"indirect call type mismatch":   task.ExitIndirectType,
	"stack overflow":                task.ExitStackOverflow,
}
