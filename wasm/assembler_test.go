package wasm_test

import (
	"encoding/binary"
	"fmt"
	"math"
)

// assembler builds a module by hand. Sections that stay empty are left out.
type assembler struct {
	types, imports, functions, tables, memories, globals, exports, elements, bodies, data []([]byte)
	start, dataCount                                                                      []byte
	custom                                                                                [][]byte
	signatures                                                                            map[string]uint32
	imported                                                                              uint32
}

var letters = map[rune]byte{'i': 0x7f, 'I': 0x7e, 'f': 0x7d, 'F': 0x7c, 'v': 0x7b, 'r': 0x70, 'x': 0x6f}

// typ is the index of a signature like "iI:f".
func (a *assembler) typ(signature string) uint32 {
	if i, ok := a.signatures[signature]; ok {
		return i
	}
	if a.signatures == nil {
		a.signatures = map[string]uint32{}
	}
	var lists [2][]byte
	side := 0
	for _, c := range signature {
		if c == ':' {
			side = 1
			continue
		}
		lists[side] = append(lists[side], letters[c])
	}
	t := []byte{0x60}
	for _, l := range lists {
		t = append(append(t, u(len(l))...), l...)
	}
	i := uint32(len(a.types))
	a.types = append(a.types, t)
	a.signatures[signature] = i
	return i
}

// importFunction adds an imported function; it must come before any function.
func (a *assembler) importFunction(module, name, signature string) uint32 {
	a.imports = append(a.imports, code(text(module), text(name), 0, u(a.typ(signature))))
	a.imported++
	return a.imported - 1
}

// function adds a function, its end included, and exports it if it has a name.
func (a *assembler) function(name, signature, locals string, parts ...any) uint32 {
	i := a.imported + uint32(len(a.functions))
	a.functions = append(a.functions, u(a.typ(signature)))
	b := u(len(locals))
	for _, c := range locals {
		b = append(b, 1, letters[c])
	}
	b = append(append(b, code(parts...)...), 0x0b)
	a.bodies = append(a.bodies, append(u(len(b)), b...))
	if name != "" {
		a.export(name, 0, i)
	}
	return i
}

func (a *assembler) export(name string, kind byte, index uint32) {
	a.exports = append(a.exports, code(text(name), kind, u(index)))
}

// memory adds a memory of so many pages, exported as "memory".
func (a *assembler) memory(pages ...int) {
	m := append([]byte{byte(len(pages) - 1)}, u(pages[0])...)
	if len(pages) > 1 {
		m = append(m, u(pages[1])...)
	}
	a.memories = append(a.memories, m)
	a.export("memory", 2, 0)
}

func (a *assembler) bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, entries [][]byte) {
		if len(entries) > 0 {
			content := u(len(entries))
			for _, e := range entries {
				content = append(content, e...)
			}
			out = append(append(append(out, id), u(len(content))...), content...)
		}
	}
	raw := func(id byte, content []byte) {
		if content != nil {
			out = append(append(append(out, id), u(len(content))...), content...)
		}
	}
	section(1, a.types)
	section(2, a.imports)
	section(3, a.functions)
	section(4, a.tables)
	section(5, a.memories)
	section(6, a.globals)
	section(7, a.exports)
	raw(8, a.start)
	section(9, a.elements)
	raw(12, a.dataCount)
	section(10, a.bodies)
	section(11, a.data)
	for _, c := range a.custom {
		raw(0, c)
	}
	return out
}

// code joins bytes: numbers are single bytes, byte slices are copied.
func code(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case byte:
			b = append(b, p)
		case []byte:
			b = append(b, p...)
		default:
			panic(fmt.Sprintf("%T is no code", p))
		}
	}
	return b
}

func u[N int | uint32 | uint64](v N) []byte { return binary.AppendUvarint(nil, uint64(v)) }

func s(v int64) []byte {
	var b []byte
	for v < -64 || v > 63 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}

func text(name string) []byte { return append(u(len(name)), name...) }

func i32(v int32) []byte { return append([]byte{0x41}, s(int64(v))...) }
func i64(v int64) []byte { return append([]byte{0x42}, s(v)...) }
func f64(v float64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(v))
}
func get(i int) []byte     { return append([]byte{0x20}, u(i)...) }
func set(i int) []byte     { return append([]byte{0x21}, u(i)...) }
func tee(i int) []byte     { return append([]byte{0x22}, u(i)...) }
func br(l int) []byte      { return append([]byte{0x0c}, u(l)...) }
func brIf(l int) []byte    { return append([]byte{0x0d}, u(l)...) }
func call(f uint32) []byte { return append([]byte{0x10}, u(f)...) }
func block(t any) []byte   { return code(0x02, t) }
func loop(t any) []byte    { return code(0x03, t) }
func ifThen(t any) []byte  { return code(0x04, t) }
func brTable(l ...int) []byte { // the last one is the default
	b := append([]byte{0x0e}, u(len(l)-1)...)
	for _, l := range l {
		b = append(b, u(l)...)
	}
	return b
}

const (
	unreachable = 0x00
	nop         = 0x01
	otherwise   = 0x05
	end         = 0x0b
	ret         = 0x0f
	drop        = 0x1a
	empty       = 0x40
	i32Add      = 0x6a
	i32Sub      = 0x6b
	i32Mul      = 0x6c
	i32DivS     = 0x6d
	i32Eqz      = 0x45
	typeI32     = 0x7f
)

var (
	memoryGrow = []byte{0x40, 0}
	memorySize = []byte{0x3f, 0}
	memoryCopy = []byte{0xfc, 10, 0, 0}
	memoryFill = []byte{0xfc, 11, 0}
)
