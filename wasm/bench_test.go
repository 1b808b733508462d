package wasm_test

import (
	"context"
	"io"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sheafgrid/sheaf/wasm"
)

func BenchmarkCheck(b *testing.B) {
	module := testdata(b, "trees")
	b.SetBytes(int64(len(module)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wasm.Check(module, wasm.ProgramRules(64)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRewrite(b *testing.B) {
	module := testdata(b, "trees")
	b.SetBytes(int64(len(module)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wasm.Rewrite(module, wasm.CurrentMeter); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRun is what the meter costs: each program as it is, and rewritten.
func BenchmarkRun(b *testing.B) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	for _, p := range programs {
		module := testdata(b, p.name)
		for _, v := range []struct {
			name   string
			module []byte
		}{{"plain", module}, {"metered", rewrite(b, module)}} {
			compiled, err := r.CompileModule(ctx, v.module)
			if err != nil {
				b.Fatal(err)
			}
			b.Run(p.name+"/"+v.name, func(b *testing.B) {
				for b.Loop() {
					benchmarkOnce(ctx, b, r, compiled)
				}
			})
		}
	}
}

func benchmarkOnce(ctx context.Context, b *testing.B, r wazero.Runtime, compiled wazero.CompiledModule) {
	b.Helper()
	b.StopTimer()
	m, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions().WithStdout(io.Discard))
	if err != nil {
		b.Fatal(err)
	}
	if g, ok := m.ExportedGlobal(wasm.LimitExport).(api.MutableGlobal); ok {
		g.Set(noLimit)
	}
	b.StartTimer()
	_, err = m.ExportedFunction("_start").Call(ctx)
	b.StopTimer()
	if err != nil && err.Error() != "module closed with exit_code(0)" {
		b.Fatal(err)
	}
	m.Close(ctx)
	b.StartTimer()
}
