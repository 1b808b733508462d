package wasm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sheafgrid/sheaf/wasm"
)

// specCommand is a step of a script of the WebAssembly specification's test
// suite, as wabt writes it.
type specCommand struct {
	Type       string
	Line       int
	Filename   string
	ModuleType string `json:"module_type"`
	Action     struct {
		Type, Module, Field string
		Args                []specValue
	}
}

type specValue struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    json.RawMessage
}

// words are the value as an engine's API takes it: two numbers for a vector.
func (v specValue) words() ([]uint64, bool) {
	var one string
	if json.Unmarshal(v.Value, &one) == nil {
		n, err := strconv.ParseUint(one, 10, 64)
		return []uint64{n}, err == nil
	}
	var lanes []string
	if json.Unmarshal(v.Value, &lanes) != nil || len(lanes) == 0 {
		return nil, false
	}
	width := 128 / len(lanes)
	words := make([]uint64, 2)
	for i, l := range lanes {
		n, err := strconv.ParseUint(l, 10, 64)
		if err != nil {
			return nil, false
		}
		words[i*width/64] |= n << (i * width % 64)
	}
	return words, true
}

// specScripts finds the suite where the Go module cache has it, inside of the
// engine that these tests use anyway.
func specScripts(t *testing.T) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Skipf("needs the source of wazero in the module cache, for the specification's tests: %v", err)
	}
	files, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "internal/integration_test/spectest/v2/testdata/*.json"))
	if len(files) == 0 {
		t.Skip("needs the source of wazero in the module cache, with the specification's tests")
	}
	return files
}

// spectest is the module that the suite imports from.
func spectest() []byte {
	a := &assembler{}
	for name, params := range map[string]string{
		"print": "", "print_i32": "i", "print_i64": "I", "print_f32": "f", "print_f64": "F", "print_i32_f32": "if", "print_f64_f64": "FF",
	} {
		a.function(name, params+":", "")
	}
	a.globals = [][]byte{
		code(0x7f, 0, i32(666), end), code(0x7e, 0, i64(666), end),
		code(0x7d, 0, 0x43, 0x66, 0xa6, 0x26, 0x44, end), code(0x7c, 0, f64(666.6), end),
	}
	for i, name := range []string{"i32", "i64", "f32", "f64"} {
		a.export("global_"+name, 3, uint32(i))
	}
	a.memory(1, 2)
	a.tables = [][]byte{{0x70, 1, 10, 20}}
	a.export("table", 1, 0)
	return a.bytes()
}

// The specification's own tests: what they call invalid is refused, what they
// call valid is rewritten, and does what it did before.
func TestSpecification(t *testing.T) {
	if racing || testing.Short() {
		t.Skip("needs a run without -race and -short: it takes long")
	}
	files := specScripts(t)
	ctx := context.Background()
	var s specRun
	for i := range s.runtimes { // one each: what modules import has a state
		r := wazero.NewRuntimeWithConfig(ctx, engines()["interpreter"])
		defer r.Close(ctx)
		if _, err := r.InstantiateWithConfig(ctx, spectest(), wazero.NewModuleConfig().WithName("spectest")); err != nil {
			t.Fatal(err)
		}
		s.runtimes[i] = r
	}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var commands struct{ Commands []specCommand }
		if err := json.Unmarshal(script, &commands); err != nil {
			t.Fatal(err)
		}
		s.close(ctx)
		for _, c := range commands.Commands {
			c.Filename = filepath.Join(filepath.Dir(file), c.Filename)
			s.step(ctx, t, &c)
		}
		if t.Failed() {
			t.Fatalf("in %s", filepath.Base(file))
		}
	}
	s.close(ctx)
	t.Logf("%d modules refused, %d rewritten, %d calls compared", s.refused, s.rewritten, s.calls)
	if s.refused < 1000 || s.rewritten < 1000 || s.calls < 10_000 {
		t.Error("too few to show anything")
	}
}

// specRun is the module of a script that is current, plain and rewritten.
type specRun struct {
	runtimes                  [2]wazero.Runtime // for plain and for rewritten modules
	plain, metered            api.Module
	refused, rewritten, calls int
}

func (s *specRun) close(ctx context.Context) {
	if s.plain != nil {
		s.plain.Close(ctx)
		s.metered.Close(ctx)
		s.plain, s.metered = nil, nil
	}
}

func (s *specRun) step(ctx context.Context, t *testing.T, c *specCommand) {
	t.Helper()
	switch c.Type {
	case "assert_invalid", "assert_malformed":
		if c.ModuleType == "text" {
			return
		}
		module := readFile(t, c.Filename)
		if _, err := wasm.Rewrite(module, 1); err == nil {
			t.Errorf("line %d: an invalid module was accepted", c.Line)
		}
		s.refused++
	case "module":
		s.close(ctx)
		module := readFile(t, c.Filename)
		metered, err := wasm.Rewrite(module, 1)
		if err != nil {
			if !errors.Is(err, wasm.ErrUnsupported) || !strings.Contains(err.Error(), "start section") {
				t.Errorf("line %d: %v", c.Line, err)
			}
			return
		}
		s.rewritten++
		s.load(ctx, t, c, module, metered)
	case "assert_return", "assert_trap", "assert_exhaustion", "action":
		if s.plain != nil && c.Action.Type == "invoke" && c.Action.Module == "" {
			s.compare(ctx, t, c)
		}
	}
}

// load instantiates both. Modules that import from others of their script
// cannot be, but are compiled.
func (s *specRun) load(ctx context.Context, t *testing.T, c *specCommand, module, metered []byte) {
	t.Helper()
	compiled, err := s.runtimes[1].CompileModule(ctx, metered)
	if err != nil {
		t.Errorf("line %d: the rewritten module: %v", c.Line, err)
		return
	}
	defer compiled.Close(ctx)
	config := wazero.NewModuleConfig().WithName("")
	plain, err := s.runtimes[0].InstantiateWithConfig(ctx, module, config)
	if err != nil {
		return
	}
	rewritten, err := s.runtimes[1].InstantiateModule(ctx, compiled, config)
	if err != nil {
		t.Errorf("line %d: the rewritten module: %v", c.Line, err)
		return
	}
	rewritten.ExportedGlobal(wasm.LimitExport).(api.MutableGlobal).Set(noLimit)
	s.plain, s.metered = plain, rewritten
}

func (s *specRun) compare(ctx context.Context, t *testing.T, c *specCommand) {
	t.Helper()
	var args []uint64
	for _, a := range c.Action.Args {
		words, ok := a.words()
		if !ok {
			return
		}
		args = append(args, words...)
	}
	function := s.plain.ExportedFunction(c.Action.Field)
	for _, typ := range function.Definition().ResultTypes() {
		if wasm.ValueType(typ) == wasm.FuncRef {
			return // an address in the engine, another one in each instance
		}
	}
	want, wantErr := function.Call(ctx, args...)
	got, gotErr := s.metered.ExportedFunction(c.Action.Field).Call(ctx, args...)
	if fmt.Sprint(got) != fmt.Sprint(want) || trapOf(gotErr) != trapOf(wantErr) {
		t.Errorf("line %d: %s%v: got %v (%v), want %v (%v)", c.Line, c.Action.Field, args, got, trapOf(gotErr), want, trapOf(wantErr))
	}
	s.calls++
}

func trapOf(err error) string {
	if err == nil {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
