package wasm

import (
	"fmt"
	"strings"
)

// checkLinked refuses what a compiler made and no linker finished; custom
// sections tell.
func (m *module) checkLinked() error {
	for _, c := range m.custom {
		switch c.Name {
		case "linking":
			return unsupported("is an object file that was not linked: link it into a program with wasm-ld")
		case "dylink.0", "dylink":
			return unsupported("is a shared library: link it statically into a program, without -shared and -pie")
		}
	}
	return nil
}

// checkImports compares what a module needs with what the host provides.
func (m *module) checkImports(provided []Import) error {
	known := make(map[string]FuncType, len(provided))
	for _, p := range provided {
		if p.Kind == KindFunction {
			known[p.Module+"\x00"+p.Name] = p.Func
		}
	}
	var first *Import
	missing := 0
	for i := range m.imports {
		in := &m.imports[i]
		t, there := known[in.Module+"\x00"+in.Name]
		switch {
		case in.Kind != KindFunction:
			return fmt.Errorf("%w: it takes its %s from the host (import %s.%s): %s",
				ErrImport, in.Kind, clip(in.Module), clip(in.Name), adviceOnKind(in.Kind))
		case there && !t.Equal(in.Func):
			return fmt.Errorf("%w: it imports %s.%s as %s, but Sheaf provides it as %s: build with a current wasi-libc",
				ErrImport, in.Module, in.Name, in.Func, t)
		case !there:
			if missing++; first == nil {
				first = in
			}
		}
	}
	if first == nil {
		return nil
	}
	more := ""
	if missing > 1 {
		more = fmt.Sprintf(" and %d more", missing-1)
	}
	return fmt.Errorf("%w: the import %s.%s%s: %s", ErrImport, clip(first.Module), clip(first.Name), more, adviceOnModule(first))
}

func adviceOnKind(k Kind) string {
	switch k {
	case KindMemory:
		return "link without --import-memory"
	case KindTable:
		return "link without --import-table"
	}
	return "link it statically, without -shared and -pie"
}

// adviceOnModule tells by an import which tool made the module, and what to
// ask of it instead.
func adviceOnModule(in *Import) string {
	switch name := in.Module; {
	case name == "wasi_snapshot_preview1":
		return "it is no function of the system interface; build with a current wasi-libc"
	case name == "wasi_unstable":
		return "it was built for an early version of the system interface; build for wasm32-wasip1"
	case name == "wasi" && in.Name == "thread-spawn":
		return "programs have one thread; build without -pthread, for wasm32-wasi"
	case strings.HasPrefix(name, "wasi:"):
		return "it was built for preview 2 of the system interface; build for wasm32-wasip1"
	case name == "go" || name == "gojs":
		return "it was built for web browsers; build with GOOS=wasip1 GOARCH=wasm"
	case name == "wbg" || strings.HasPrefix(name, "__wbindgen") || strings.HasPrefix(name, "./"):
		return "it was built for JavaScript; build with --target wasm32-wasip1 and without wasm-bindgen"
	case name == "a" || name == "env" && strings.HasPrefix(in.Name, "emscripten_"):
		return "it was built by Emscripten for JavaScript; build with wasi-libc (--target=wasm32-wasi), or with -sSTANDALONE_WASM"
	case name == "env":
		return "build with wasi-libc (--target=wasm32-wasi), and look for functions that were declared and never linked"
	}
	return "a program gets the WebAssembly system interface (wasi_snapshot_preview1) and nothing else"
}
