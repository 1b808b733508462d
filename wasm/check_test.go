package wasm_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/sheafgrid/sheaf/wasm"
)

// program is the smallest one that Check accepts.
func program(parts ...any) *assembler {
	a := &assembler{}
	a.function("_start", ":", "", parts...)
	a.memory(1)
	return a
}

func TestCheckAccepts(t *testing.T) {
	for name, a := range map[string]*assembler{
		"nothing to do":  program(),
		"vectors":        program(i32(1), 0xfd, 17, drop),
		"bulk memory":    program(i32(0), i32(0), i32(0), memoryFill),
		"sign extension": program(i32(0), 0xc0, drop),
		"saturation":     program(f64(1e300), 0xfc, 2, drop),
		"references":     program(0xd0, 0x6f, drop),
		"an import": func() *assembler {
			a := &assembler{}
			a.importFunction("wasi_snapshot_preview1", "proc_exit", "i:")
			a.function("_start", ":", "", i32(0), call(0))
			a.memory(1)
			return a
		}(),
		"a custom section": func() *assembler {
			a := program()
			a.custom = [][]byte{code(text("producers"), 1, 2, 3)}
			return a
		}(),
		"a table that grows to its maximum": func() *assembler {
			a := program(0xd0, 0x70, i32(5), 0xfc, 15, 0, drop)
			a.tables = [][]byte{{0x70, 1, 0, 9}}
			return a
		}(),
	} {
		if _, err := wasm.Check(a.bytes(), wasm.ProgramRules(1)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func() *assembler
		kind  error
		text  string
	}{
		{"atomics", func() *assembler { return program(0xfe, 3, 0) }, wasm.ErrUnsupported, "threads"},
		{"shared memory", func() *assembler {
			a := program()
			a.memories = [][]byte{{3, 1, 2}}
			return a
		}, wasm.ErrUnsupported, "-pthread"},
		{"relaxed vectors", func() *assembler { return program(0xfd, u(0x100)) }, wasm.ErrUnsupported, "-mrelaxed-simd"},
		{"two memories", func() *assembler {
			a := program()
			a.memories = append(a.memories, []byte{0, 1})
			return a
		}, wasm.ErrUnsupported, "more than one memory"},
		{"load from another memory", func() *assembler { return program(i32(0), 0x28, 0x42, 0, 1, drop) }, wasm.ErrUnsupported, "more than one memory"},
		{"64-bit memory", func() *assembler {
			a := program()
			a.memories = [][]byte{{4, 1}}
			return a
		}, wasm.ErrUnsupported, "wasm32"},
		{"exceptions", func() *assembler { return program(0x06, empty, end) }, wasm.ErrUnsupported, "-fno-exceptions"},
		{"tail call", func() *assembler { return program(0x12, 0) }, wasm.ErrUnsupported, "-mtail-call"},
		{"typed reference", func() *assembler { return program(0x14, 0) }, wasm.ErrUnsupported, "references"},
		{"extended constants", func() *assembler {
			a := program()
			a.globals = [][]byte{code(0x7f, 0, i32(1), i32(1), i32Add, end)}
			return a
		}, wasm.ErrUnsupported, "-mextended-const"},
		{"start section", func() *assembler {
			a := program()
			a.start = []byte{0}
			return a
		}, wasm.ErrUnsupported, "start section"},
		{"table that grows for ever", func() *assembler {
			a := program(0xd0, 0x70, i32(5), 0xfc, 15, 0, drop)
			a.tables = [][]byte{{0x70, 0, 1}}
			return a
		}, wasm.ErrUnsupported, "declare a maximum"},
		{"object file", func() *assembler {
			a := program()
			a.custom = [][]byte{text("linking")}
			return a
		}, wasm.ErrUnsupported, "wasm-ld"},
		{"missing function", func() *assembler {
			a := &assembler{}
			a.importFunction("env", "fopen", "ii:i")
			a.importFunction("env", "fclose", "i:i")
			return a
		}, wasm.ErrImport, "env.fopen and 1 more: build with wasi-libc (--target=wasm32-wasi)"},
		{"another signature", func() *assembler {
			a := &assembler{}
			a.importFunction("wasi_snapshot_preview1", "fd_write", "iii:i")
			return a
		}, wasm.ErrImport, "(i32, i32, i32) -> i32, but Sheaf provides it as (i32, i32, i32, i32) -> i32"},
		{"preview 0", func() *assembler {
			a := &assembler{}
			a.importFunction("wasi_unstable", "fd_write", "iiii:i")
			return a
		}, wasm.ErrImport, "early version"},
		{"Go for browsers", func() *assembler {
			a := &assembler{}
			a.importFunction("gojs", "runtime.wasmExit", "i:")
			return a
		}, wasm.ErrImport, "GOOS=wasip1"},
		{"imported memory", func() *assembler {
			a := &assembler{imports: [][]byte{code(text("env"), text("memory"), 2, 0, 1)}}
			return a
		}, wasm.ErrImport, "--import-memory"},
		{"imported table", func() *assembler {
			a := &assembler{imports: [][]byte{code(text("env"), text("t"), 1, 0x70, 0, 1)}}
			return a
		}, wasm.ErrImport, "--import-table"},
		{"imported global", func() *assembler {
			a := &assembler{imports: [][]byte{code(text("env"), text("__stack_pointer"), 3, 0x7f, 1)}}
			return a
		}, wasm.ErrImport, "-shared"},
		{"no _start", func() *assembler {
			a := &assembler{}
			a.memory(1)
			return a
		}, wasm.ErrExport, "main function"},
		{"library", func() *assembler {
			a := &assembler{}
			a.function("_initialize", ":", "")
			a.memory(1)
			return a
		}, wasm.ErrExport, "-mexec-model=reactor"},
		{"_start with a result", func() *assembler {
			a := &assembler{}
			a.function("_start", ":i", "", i32(0))
			a.memory(1)
			return a
		}, wasm.ErrExport, "() -> i32"},
		{"no memory", func() *assembler {
			a := &assembler{}
			a.function("_start", ":", "")
			return a
		}, wasm.ErrExport, `"memory"`},
		{"name of the meter", func() *assembler {
			a := program()
			a.export(wasm.LimitExport, 0, 0)
			return a
		}, wasm.ErrExport, "rename it"},
		{"global of the meter", func() *assembler { return program(i64(0), 0x24, 0) }, wasm.ErrInvalid, "no global 0"},
		{"local of the meter", func() *assembler { return program(i64(0), set(0)) }, wasm.ErrInvalid, "no local 0"},
		{"block of the meter", func() *assembler { return program(br(1)) }, wasm.ErrInvalid, "leaves 1 blocks, but there are 1"},
		{"too much on the stack", func() *assembler { return program(i32(0)) }, wasm.ErrInvalid, "more values"},
		{"too little on the stack", func() *assembler { return program(drop) }, wasm.ErrInvalid, "not there"},
		{"a million locals", func() *assembler {
			a := program()
			a.bodies[0] = code(6, 1, u(1_000_000), 0x7f, end)
			return a
		}, wasm.ErrTooLarge, "1000000 local variables"},
		{"locals by the billion", func() *assembler {
			a := program()
			a.bodies[0] = code(14, 2, u(uint32(4_000_000_000)), 0x7f, u(uint32(4_000_000_000)), 0x7f, end)
			return a
		}, wasm.ErrTooLarge, "local variables"},
		{"more memory than the job has", func() *assembler {
			a := program()
			a.memories = [][]byte{{0, 2}}
			return a
		}, wasm.ErrTooLarge, "128 KiB of memory to start, at most 64"},
		{"huge table", func() *assembler {
			a := program()
			a.tables = [][]byte{code(0x70, 0, u(uint32(4_000_000_000)))}
			return a
		}, wasm.ErrTooLarge, "4000000000 elements"},
		{"two tables that are huge together", func() *assembler {
			a := program()
			a.tables = [][]byte{code(0x70, 0, u(600_000)), code(0x6f, 0, u(600_000))}
			return a
		}, wasm.ErrTooLarge, "1200000 elements"},
		{"table that grows far", func() *assembler {
			a := program(0xd0, 0x70, i32(5), 0xfc, 15, 0, drop)
			a.tables = [][]byte{code(0x70, 1, 1, u(2_000_000))}
			return a
		}, wasm.ErrTooLarge, "2000000 elements"},
		{"a block that takes much", func() *assembler {
			a := &assembler{}
			a.function("_start", ":", "", unreachable, loop(u(a.typ(strings.Repeat("i", 33)+":"))), unreachable, end)
			a.memory(1)
			return a
		}, wasm.ErrTooLarge, "a block takes 33 values"},
		{"names that write on the screen", func() *assembler {
			a := &assembler{}
			a.importFunction("\x1b[2J", "x", ":")
			return a
		}, wasm.ErrImport, `"\x1b[2J".x`},
		{"nesting", func() *assembler {
			return program([]byte(strings.Repeat("\x02\x40", 20_000)), []byte(strings.Repeat("\x0b", 20_000)))
		}, wasm.ErrTooLarge, "nested"},
		{"many values", func() *assembler { return program([]byte(strings.Repeat("\x41\x00", 200_000))) }, wasm.ErrTooLarge, "on the stack"},
	} {
		t.Run(c.name, func(t *testing.T) {
			module := c.build().bytes()
			wantError(t, "Check", c.kind, c.text, func() error { _, err := wasm.Check(module, wasm.ProgramRules(1)); return err })
		})
	}
}

func TestRulesBound(t *testing.T) {
	module := program().bytes()
	for name, change := range map[string]func(r *wasm.Rules){
		"bytes":     func(r *wasm.Rules) { r.MaxBytes = len(module) - 1 },
		"functions": func(r *wasm.Rules) { r.MaxFunctions = 0 },
		"pages":     func(r *wasm.Rules) { r.MaxPages = 0 },
		"all":       func(r *wasm.Rules) { *r = wasm.Rules{} },
	} {
		rules := wasm.ProgramRules(1)
		change(&rules)
		wantError(t, name, wasm.ErrTooLarge, "at most", func() error { _, err := wasm.Check(module, rules); return err })
	}
	a := program()
	a.function("", "iii:", "")
	for name, change := range map[string]func(r *wasm.Rules){
		"locals":     func(r *wasm.Rules) { r.MaxLocals = 2 },
		"parameters": func(r *wasm.Rules) { r.MaxParams = 2 },
	} {
		rules := wasm.ProgramRules(1)
		change(&rules)
		wantError(t, name, wasm.ErrTooLarge, "at most 2", func() error { _, err := wasm.Check(a.bytes(), rules); return err })
	}
}

func TestOtherFiles(t *testing.T) {
	for _, c := range []struct{ content, text string }{
		{"", "the file is empty"},
		{"\x00asm", "ends after 4 bytes"},
		{"\x00asm\x02\x00\x00\x00", "version 2"},
		{"\x00asm\x0d\x00\x01\x00", "component"},
		{"<!DOCTYPE html><html>", "web page"},
		{"\n  <HTML>", "web page"},
		{"(module)", "wat2wasm"},
		{";; a comment\n(module)", "wat2wasm"},
		{"\x7fELF\x02\x01", "--target=wasm32-wasi"},
		{"MZ\x90\x00", "Windows"},
		{"!<arch>\n", "wasm-ld"},
		{"\x1f\x8b\x08", "gzip"},
		{"PK\x03\x04", "zip"},
		{"#!/bin/sh\n", "script"},
		{"int main(void) { return 0; }\n", "text file"},
		{strings.Repeat("ä", 600), "text file"},
		{"\x01\x02\x03\x04", "something else"},
	} {
		for name, f := range map[string]func([]byte) error{
			"Inspect": func(b []byte) error { _, err := wasm.Inspect(b); return err },
			"Check":   func(b []byte) error { _, err := wasm.Check(b, wasm.ProgramRules(1)); return err },
			"Strip":   func(b []byte) error { _, err := wasm.Strip(b); return err },
			"Rewrite": func(b []byte) error { _, err := wasm.Rewrite(b, wasm.CurrentMeter); return err },
		} {
			wantError(t, name, wasm.ErrNotWasm, c.text, func() error { return f([]byte(c.content)) })
		}
	}
}

// Preview1 agrees with another implementation of the system interface.
func TestPreview1(t *testing.T) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	compiled, err := wasi_snapshot_preview1.NewBuilder(r).Compile(ctx)
	if err != nil {
		t.Fatal(err)
	}
	theirs := compiled.ExportedFunctions()
	for _, in := range wasm.Preview1() {
		f, ok := theirs[in.Name]
		if !ok {
			t.Errorf("%s is not known there", in.Name)
			continue
		}
		var want wasm.FuncType
		for _, p := range f.ParamTypes() {
			want.Params = append(want.Params, wasm.ValueType(p))
		}
		for _, p := range f.ResultTypes() {
			want.Results = append(want.Results, wasm.ValueType(p))
		}
		if !in.Func.Equal(want) {
			t.Errorf("%s is %s, there it is %s", in.Name, in.Func, want)
		}
		delete(theirs, in.Name)
	}
	for name := range theirs {
		t.Errorf("%s is missing", name)
	}
}

// Whatever is cut off or changed in a real program is refused or accepted, but
// never more.
func TestDamage(t *testing.T) {
	module := testdata(t, "hash")
	for n := 0; n < len(module); n += 13 {
		if _, err := wasm.Check(module[:n], wasm.ProgramRules(64)); err == nil {
			t.Fatalf("the first %d bytes of %d are a program", n, len(module))
		}
	}
	for n := 8; n < len(module); n += 7 {
		b := append([]byte(nil), module...)
		b[n] ^= 0x81
		_, err := wasm.Check(b, wasm.ProgramRules(64))
		known := err == nil
		for _, kind := range []error{wasm.ErrNotWasm, wasm.ErrInvalid, wasm.ErrUnsupported, wasm.ErrImport, wasm.ErrExport, wasm.ErrTooLarge} {
			known = known || errors.Is(err, kind)
		}
		if !known {
			t.Fatalf("byte %d: %v wraps no known error", n, err)
		}
	}
}
