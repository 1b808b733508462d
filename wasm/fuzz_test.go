package wasm_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sheafgrid/sheaf/wasm"
)

// seeds are small modules that between them use most of the format.
func seeds(add func(module []byte)) {
	add(nil)
	add([]byte("\x00asm\x01\x00\x00\x00"))
	add(program().bytes())
	add(spectest())
	for _, r := range runaways {
		a := &assembler{}
		r.build(a)
		add(a.bytes())
	}
	for seed := range uint64(5) {
		g := &generator{rnd: rand.New(rand.NewPCG(seed, 2)), functions: 2}
		module, _ := g.program()
		add(module)
	}
	a := program(i32(0), 0xfd, 17, i32(1), 0xfd, 17, 0xfd, u(174), 0xfd, 27, 0, drop, 0xd2, 0, drop, f64(1), 0xfc, 2, drop)
	a.tables = [][]byte{{0x70, 1, 1, 9}, {0x6f, 0, 1}}
	a.globals = [][]byte{code(0x7b, 1, 0xfd, 12, make([]byte, 16), end)}
	a.elements = [][]byte{code(0, i32(0), end, 1, 0), code(5, 0x70, 1, 0xd2, 0, end), code(3, 0, 1, 0)}
	a.dataCount = []byte{1}
	a.data = [][]byte{code(0, i32(8), end, text("data"))}
	a.custom = [][]byte{code(text("name"), 0)}
	add(a.bytes())
}

// Whatever the bytes are, reading them neither panics nor takes more memory
// than in proportion, and what Strip makes of a module is a module that says
// the same of itself.
func FuzzInspect(f *testing.F) {
	seeds(func(module []byte) { f.Add(module) })
	for _, module := range liars() {
		if len(module) < 1000 {
			f.Add(module)
		}
	}
	f.Fuzz(func(t *testing.T, module []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		info, err := wasm.Inspect(module)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(64*len(module)+8<<20) { // other goroutines count, too
			t.Errorf("%d bytes used for %d", used, len(module))
		}
		_, _ = wasm.Check(module, wasm.ProgramRules(64))
		if err != nil {
			return
		}
		stripped, err := wasm.Strip(module)
		if err != nil {
			t.Fatal(err)
		}
		again, err := wasm.Inspect(stripped)
		if err != nil || len(again.Custom) != 0 || again.Functions != info.Functions || len(again.Exports) != len(info.Exports) {
			t.Errorf("stripped: %+v (%v), before: %+v", again, err, info)
		}
	})
}

// A module that an engine takes and Rewrite takes is one that the engine takes
// when it is rewritten; and where that ends soon, both do the same.
func FuzzRewrite(f *testing.F) {
	seeds(func(module []byte) { f.Add(module) })
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(64))
	c := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithMemoryLimitPages(64))
	f.Fuzz(func(t *testing.T, module []byte) {
		if len(module) > 1<<14 {
			return
		}
		if _, err := wasm.Inspect(module); err != nil {
			return // the engine reserves gigabytes where a module only claims them
		}
		metered, err := wasm.Rewrite(module, wasm.CurrentMeter)
		if err != nil {
			return
		}
		plain, err := compile(ctx, r, module)
		if err != nil && strings.HasPrefix(err.Error(), "panic") {
			t.Fatalf("the engine panics on what is accepted: %v", err)
		}
		if err != nil {
			return // a memory of more than 64 pages, for example
		}
		defer plain.Close(ctx)
		if compiled, err := c.CompileModule(ctx, metered); err != nil {
			t.Fatalf("the rewritten module does not compile: %v", err)
		} else {
			compiled.Close(ctx)
		}
		compiled, err := r.CompileModule(ctx, metered)
		if err != nil {
			t.Fatalf("the rewritten module is not valid: %v", err)
		}
		defer compiled.Close(ctx)
		if wasm.TablesWithin(module, 10_000) && len(plain.ImportedFunctions()) == 0 {
			compareRuns(ctx, t, r, plain, compiled)
		}
	})
}

// compile turns a panic into an error: this engine's validation has some for
// modules that are not valid, which is one reason to check them before.
func compile(ctx context.Context, r wazero.Runtime, module []byte) (c wazero.CompiledModule, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return r.CompileModule(ctx, module)
}

// compareRuns calls each exported function of both with zeros.
func compareRuns(ctx context.Context, t *testing.T, r wazero.Runtime, plain, metered wazero.CompiledModule) {
	t.Helper()
	const limit = 20_000
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	p, err := r.InstantiateModule(ctx, plain, config)
	if err != nil {
		return // it imports a memory, or a segment is out of bounds
	}
	defer p.Close(ctx)
	m, err := r.InstantiateModule(ctx, metered, config)
	if err != nil {
		t.Fatalf("the rewritten module cannot be instantiated: %v", err)
	}
	defer m.Close(ctx)
	for name, definition := range plain.ExportedFunctions() {
		args := make([]uint64, 2*len(definition.ParamTypes())) // vectors take two
		n := 0
		for _, typ := range definition.ParamTypes() {
			n++
			if wasm.ValueType(typ) == wasm.V128 {
				n++
			}
		}
		for _, typ := range definition.ResultTypes() {
			if wasm.ValueType(typ) == wasm.FuncRef {
				return
			}
		}
		m.ExportedGlobal(wasm.CountExport).(api.MutableGlobal).Set(0)
		m.ExportedGlobal(wasm.LimitExport).(api.MutableGlobal).Set(limit)
		got, gotErr := m.ExportedFunction(name).Call(ctx, args[:n]...)
		if m.ExportedGlobal(wasm.CountExport).Get() > limit || strings.Contains(trapOf(gotErr), "stack overflow") {
			return // the plain one may never end
		}
		want, wantErr := p.ExportedFunction(name).Call(ctx, args[:n]...)
		if trapOf(gotErr) != trapOf(wantErr) || !sameWords(got, want) {
			t.Errorf("%s: got %v (%s), want %v (%s)", name, got, trapOf(gotErr), want, trapOf(wantErr))
		}
	}
}

func sameWords(a, b []uint64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
