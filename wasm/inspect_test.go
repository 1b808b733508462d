package wasm_test

import (
	"bytes"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/sheafgrid/sheaf/wasm"
)

func TestInspect(t *testing.T) {
	a := &assembler{}
	write := a.importFunction("wasi_snapshot_preview1", "fd_write", "iiii:i")
	a.function("_start", ":", "iI", i32(0), i32(0), i32(0), i32(0), call(write), drop)
	a.function("", "F:F", "", get(0))
	a.memory(2, 5)
	a.tables = [][]byte{{0x70, 0, 1}}
	a.globals = [][]byte{code(0x7f, 1, i32(1024), end)}
	a.custom = [][]byte{code(text("name"), 1, 2, 3)}
	module := a.bytes()
	i, err := wasm.Inspect(module)
	if err != nil {
		t.Fatal(err)
	}
	if i.Bytes != len(module) || i.Types != 3 || i.Functions != 2 || i.Tables != 1 || i.Globals != 1 || !i.Command || i.Start {
		t.Errorf("got %+v", i)
	}
	if want := (wasm.Limits{Min: 2, Max: 5, HasMax: true}); !i.HasMemory || i.Memory != want {
		t.Errorf("memory %+v, want %+v", i.Memory, want)
	}
	if len(i.Imports) != 1 || i.Imports[0].Name != "fd_write" || i.Imports[0].Func.String() != "(i32, i32, i32, i32) -> i32" {
		t.Errorf("imports %+v", i.Imports)
	}
	if len(i.Exports) != 2 || i.Exports[0].Name != "_start" || i.Exports[0].Index != 1 || i.Exports[1].Kind != wasm.KindMemory {
		t.Errorf("exports %+v", i.Exports)
	}
	if want := []wasm.Custom{{Name: "name", Size: 8}}; !slices.Equal(i.Custom, want) {
		t.Errorf("custom sections %+v, want %+v", i.Custom, want)
	}
}

func TestStrip(t *testing.T) {
	a := program(i32(1), drop)
	bare := a.bytes()
	a.custom = [][]byte{code(text("name"), 1, 2, 3), code(text(".debug_info"), make([]byte, 1000))}
	got, err := wasm.Strip(a.bytes())
	if err != nil || !bytes.Equal(got, bare) {
		t.Errorf("got %x (%v), want %x", got, err, bare)
	}
	if again, err := wasm.Strip(got); err != nil || !bytes.Equal(again, got) {
		t.Errorf("stripped twice: %x (%v)", again, err)
	}
}

// What is wrong outside of code, byte by byte.
func TestInspectRefuses(t *testing.T) {
	const head = "\x00asm\x01\x00\x00\x00"
	const empty = "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00" // a type and a function of it
	for _, c := range []struct{ name, content, text string }{
		{"cut off in a section", "\x01\x05\x01\x60", "cut off"},
		{"no size", "\x01", "middle"},
		{"size of six bytes", "\x01\x80\x80\x80\x80\x80\x00", "32 bits"},
		{"size of 35 bits", "\x01\x80\x80\x80\x80\x70", "32 bits"},
		{"section 14", "\x0e\x00", "no section 14"},
		{"two type sections", "\x01\x01\x00\x01\x01\x00", "twice"},
		{"functions before types", "\x03\x01\x00\x01\x01\x00", "wrong place"},
		{"bytes behind the types", "\x01\x02\x00\x00", "1 bytes longer"},
		{"more types than bytes", "\x01\x01\x05", "5 types follow"},
		{"type that is none", "\x01\x04\x01\x61\x00\x00", "0x61"},
		{"unknown type of values", "\x01\x05\x01\x60\x01\x20\x00", "0x20"},
		{"name that is no text", "\x00\x02\x01\xff", "UTF-8"},
		{"functions without code", empty, "declares 1 functions and has code for 0"},
		{"code without functions", "\x0a\x04\x01\x02\x00\x0b", "declares 0 functions"},
		{"function of no type", "\x03\x02\x01\x00\x0a\x04\x01\x02\x00\x0b", "type 0 of 0"},
		{"function that is too long", empty + "\x0a\x04\x01\x09\x00\x0b", "9 bytes long"},
		{"memory of 65537 pages", "\x05\x05\x01\x00\x81\x80\x04", "larger than 65536"},
		{"maximum below the minimum", "\x05\x04\x01\x01\x02\x01", "at most 1"},
		{"two exports of a name", "\x05\x03\x01\x00\x01\x07\x09\x02\x01a\x02\x00\x01a\x02\x00", "twice"},
		{"export of nothing", "\x07\x05\x01\x01a\x02\x00", "memory 0 of 0"},
		{"unknown kind of export", "\x07\x05\x01\x01a\x07\x00", "no kind 7"},
		{"unknown kind of import", "\x02\x06\x01\x01a\x01b\x05", "no kind 5"},
		{"global of another type", "\x06\x06\x01\x7f\x00\x42\x00\x0b", "i64, want i32"},
		{"global that depends on itself", "\x06\x06\x01\x7f\x00\x23\x00\x0b", "global 0"},
		{"global that may change a bit", "\x06\x06\x01\x7f\x02\x41\x00\x0b", "neither"},
		{"constant of 33 bits", "\x06\x0a\x01\x7f\x00\x41\xff\xff\xff\xff\x0f\x0b", "32 bits"},
		{"start with nothing", "\x08\x01\x00", "function 0 of 0"},
		{"element segment of nothing", "\x09\x06\x01\x00\x41\x00\x0b\x00", "table 0 of 0"},
		{"element segment of kind 8", "\x09\x02\x01\x08", "begins with 8"},
		{"data without memory", "\x0b\x06\x01\x00\x41\x00\x0b\x00", "there is none"},
		{"data that are announced", "\x0c\x01\x02", "announces 2"},
	} {
		wantError(t, c.name, wasm.ErrInvalid, c.text, func() error { _, err := wasm.Inspect([]byte(head + c.content)); return err })
	}
}

// Modules that claim to hold much more than they do.
func liars() map[string][]byte {
	head := "\x00asm\x01\x00\x00\x00"
	much := "\xff\xff\xff\xff\x0f"
	list := map[string][]byte{
		"section":     []byte(head + "\x01" + much),
		"locals":      []byte(head + "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x0a\x0c\x01\x0a\x01\xff\xff\xff\xff\x0f\x7f\x0b"),
		"name":        []byte(head + "\x00\x06" + much + "x"),
		"import name": []byte(head + "\x02\x07\x01" + much + "x"),
	}
	for id := byte(1); id <= 11; id++ {
		list["entries of section "+strconv.Itoa(int(id))] = append([]byte(head), code(id, 6, []byte(much), 0)...)
		big := append([]byte(head), code(id, u(1<<20), u(1<<20-3))...)
		list["zeros in section "+strconv.Itoa(int(id))] = append(big, make([]byte, 1<<20-3)...)
	}
	return list
}

// What a module costs to read is in proportion to its size.
func TestMemoryIsBounded(t *testing.T) {
	cheap := func(name string, module []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := wasm.Check(module, wasm.ProgramRules(64))
		runtime.ReadMemStats(&after)
		if used, most := after.TotalAlloc-before.TotalAlloc, uint64(64*len(module)+1<<20); used > most {
			t.Errorf("%s: %d bytes used for %d, want at most %d (%v)", name, used, len(module), most, err)
		}
	}
	for name, module := range liars() {
		cheap(name, module)
	}
	a := &assembler{}
	for range 20_000 {
		a.function("", ":", "")
	}
	cheap("many small functions", a.bytes())
	for _, p := range programs {
		cheap(p.name, testdata(t, p.name))
	}
}
