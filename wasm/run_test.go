package wasm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"github.com/sheafgrid/sheaf/wasm"
)

// noLimit is more work than any test does.
const noLimit = uint64(1) << 60

// engines are the two that this repository's tests have: they share nothing
// but the reading of modules.
func engines() map[string]wazero.RuntimeConfig {
	return map[string]wazero.RuntimeConfig{
		"compiler":    wazero.NewRuntimeConfigCompiler().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(1024),
		"interpreter": wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(api.CoreFeaturesV2).WithMemoryLimitPages(1024),
	}
}

// outcome is all that one run of a module shows.
type outcome struct {
	results string
	output  string
	trap    string // the first line of what the engine says, "" for none
	count   uint64 // as CountExport says, 0 where the module has no meter
}

// overLimit is the rule by which a host tells that the limit stopped a run.
func (o outcome) overLimit(limit uint64) bool { return o.count > limit }

// runWith instantiates a module, sets the limit and calls a function.
func runWith(tb testing.TB, config wazero.RuntimeConfig, module []byte, limit uint64, function string, args ...uint64) outcome {
	tb.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, config)
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	o, err := instantiate(ctx, r, module, limit, function, args...)
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func instantiate(ctx context.Context, r wazero.Runtime, module []byte, limit uint64, function string, args ...uint64) (outcome, error) {
	compiled, err := r.CompileModule(ctx, module)
	if err != nil {
		return outcome{}, fmt.Errorf("compile: %w", err)
	}
	defer compiled.Close(ctx)
	var out strings.Builder
	m, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName("").
		WithStartFunctions().WithStdout(&out).WithStderr(io.Discard).WithArgs("app"))
	if err != nil {
		return outcome{}, fmt.Errorf("instantiate: %w", err)
	}
	defer m.Close(ctx)
	if g, ok := m.ExportedGlobal(wasm.LimitExport).(api.MutableGlobal); ok {
		g.Set(limit)
	}
	results, err := m.ExportedFunction(function).Call(ctx, args...)
	o := outcome{results: fmt.Sprint(results), output: out.String()}
	if g := m.ExportedGlobal(wasm.CountExport); g != nil {
		o.count = g.Get()
	}
	var exit *sys.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 0) {
		o.trap, _, _ = strings.Cut(err.Error(), "\n")
	}
	return o, nil
}

// rewrite is Rewrite of a module that must be accepted.
func rewrite(tb testing.TB, module []byte) []byte {
	tb.Helper()
	b, err := wasm.Rewrite(module, wasm.CurrentMeter)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// runMetered runs the rewritten module on each engine, demands that they agree
// on everything, and returns what they agree on.
func runMetered(tb testing.TB, module []byte, limit uint64, function string, args ...uint64) outcome {
	tb.Helper()
	module = rewrite(tb, module)
	var first *outcome
	for name, config := range engines() {
		o := runWith(tb, config, module, limit, function, args...)
		if first == nil {
			first = &o
		} else if *first != o {
			tb.Errorf("%s: %+v, the other engine: %+v", name, o, *first)
		}
	}
	return *first
}
