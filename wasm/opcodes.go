package wasm

import "fmt"

// shape is what is the same for every use of an opcode.
type shape struct {
	imm    immediate
	typed  bool   // pops and pushes say all about its types
	align  uint8  // of a memory access: the exponent of its size in bytes
	lanes  uint8  // of the vectors that a lane is taken from
	pops   string // one byte per ValueType, the last is on top
	pushes string
}

// shape looks an opcode up; unknown ones have immUnknown.
func (op opcode) shape() *shape {
	switch op >> 8 {
	case 0:
		return &shapes.plain[op]
	case prefixBulk:
		return &shapes.bulk[op&0xff]
	}
	return &shapes.vector[op&0xff]
}

// shapes is filled once, from the rows below and in opcodes_vector.go.
var shapes = buildShapes()

type shapeTable struct{ plain, bulk, vector [256]shape }

// row describes neighbouring opcodes. In types, before the colon is what they
// take and behind it what they leave: i, I, f, F and v are i32, i64, f32, f64
// and v128. Without a colon, validation knows the instruction by itself.
type row struct {
	from, to uint8
	imm      immediate
	types    string
	size     uint8 // the exponent of a memory access's size
	lanes    uint8
}

func buildShapes() *shapeTable {
	t := new(shapeTable)
	fill := func(table *[256]shape, rows []row) {
		for _, r := range rows {
			pops, pushes, typed := expandTypes(r.types)
			for op := int(r.from); op <= int(r.to); op++ {
				table[op] = shape{r.imm, typed, r.size, r.lanes, pops, pushes}
			}
		}
	}
	fill(&t.plain, plainRows[:])
	fill(&t.bulk, bulkRows[:])
	fill(&t.vector, vectorRows[:])
	return t
}

func expandTypes(s string) (pops, pushes string, typed bool) {
	letters := map[rune]ValueType{'i': I32, 'I': I64, 'f': F32, 'F': F64, 'v': V128}
	var b []byte
	for _, c := range s {
		if c == ':' {
			pops, typed, b = string(b), true, nil
			continue
		}
		b = append(b, byte(letters[c]))
	}
	return pops, string(b), typed
}

var plainRows = [...]row{
	{from: 0x00, to: 0x01, imm: immNone},
	{from: 0x02, to: 0x04, imm: immBlock},
	{from: 0x05, to: 0x05, imm: immNone},
	{from: 0x0b, to: 0x0b, imm: immNone},
	{from: 0x0c, to: 0x0d, imm: immIndex},
	{from: 0x0e, to: 0x0e, imm: immLabels},
	{from: 0x0f, to: 0x0f, imm: immNone},
	{from: 0x10, to: 0x10, imm: immIndex},
	{from: 0x11, to: 0x11, imm: immTwo},
	{from: 0x1a, to: 0x1b, imm: immNone},
	{from: 0x1c, to: 0x1c, imm: immTypes},
	{from: 0x20, to: 0x26, imm: immIndex},

	{0x28, 0x28, immMemory, "i:i", 2, 0}, // loads
	{0x29, 0x29, immMemory, "i:I", 3, 0},
	{0x2a, 0x2a, immMemory, "i:f", 2, 0},
	{0x2b, 0x2b, immMemory, "i:F", 3, 0},
	{0x2c, 0x2d, immMemory, "i:i", 0, 0},
	{0x2e, 0x2f, immMemory, "i:i", 1, 0},
	{0x30, 0x31, immMemory, "i:I", 0, 0},
	{0x32, 0x33, immMemory, "i:I", 1, 0},
	{0x34, 0x35, immMemory, "i:I", 2, 0},
	{0x36, 0x36, immMemory, "ii:", 2, 0}, // stores
	{0x37, 0x37, immMemory, "iI:", 3, 0},
	{0x38, 0x38, immMemory, "if:", 2, 0},
	{0x39, 0x39, immMemory, "iF:", 3, 0},
	{0x3a, 0x3a, immMemory, "ii:", 0, 0},
	{0x3b, 0x3b, immMemory, "ii:", 1, 0},
	{0x3c, 0x3c, immMemory, "iI:", 0, 0},
	{0x3d, 0x3d, immMemory, "iI:", 1, 0},
	{0x3e, 0x3e, immMemory, "iI:", 2, 0},
	{from: 0x3f, to: 0x3f, imm: immZero, types: ":i"},
	{from: 0x40, to: 0x40, imm: immZero, types: "i:i"},

	{from: 0x41, to: 0x41, imm: immI32, types: ":i"}, // constants
	{from: 0x42, to: 0x42, imm: immI64, types: ":I"},
	{from: 0x43, to: 0x43, imm: immBytes4, types: ":f"},
	{from: 0x44, to: 0x44, imm: immBytes8, types: ":F"},

	{from: 0x45, to: 0x45, imm: immNone, types: "i:i"}, // comparisons
	{from: 0x46, to: 0x4f, imm: immNone, types: "ii:i"},
	{from: 0x50, to: 0x50, imm: immNone, types: "I:i"},
	{from: 0x51, to: 0x5a, imm: immNone, types: "II:i"},
	{from: 0x5b, to: 0x60, imm: immNone, types: "ff:i"},
	{from: 0x61, to: 0x66, imm: immNone, types: "FF:i"},

	{from: 0x67, to: 0x69, imm: immNone, types: "i:i"}, // arithmetic
	{from: 0x6a, to: 0x78, imm: immNone, types: "ii:i"},
	{from: 0x79, to: 0x7b, imm: immNone, types: "I:I"},
	{from: 0x7c, to: 0x8a, imm: immNone, types: "II:I"},
	{from: 0x8b, to: 0x91, imm: immNone, types: "f:f"},
	{from: 0x92, to: 0x98, imm: immNone, types: "ff:f"},
	{from: 0x99, to: 0x9f, imm: immNone, types: "F:F"},
	{from: 0xa0, to: 0xa6, imm: immNone, types: "FF:F"},

	{from: 0xa7, to: 0xa7, imm: immNone, types: "I:i"}, // conversions
	{from: 0xa8, to: 0xa9, imm: immNone, types: "f:i"},
	{from: 0xaa, to: 0xab, imm: immNone, types: "F:i"},
	{from: 0xac, to: 0xad, imm: immNone, types: "i:I"},
	{from: 0xae, to: 0xaf, imm: immNone, types: "f:I"},
	{from: 0xb0, to: 0xb1, imm: immNone, types: "F:I"},
	{from: 0xb2, to: 0xb3, imm: immNone, types: "i:f"},
	{from: 0xb4, to: 0xb5, imm: immNone, types: "I:f"},
	{from: 0xb6, to: 0xb6, imm: immNone, types: "F:f"},
	{from: 0xb7, to: 0xb8, imm: immNone, types: "i:F"},
	{from: 0xb9, to: 0xba, imm: immNone, types: "I:F"},
	{from: 0xbb, to: 0xbb, imm: immNone, types: "f:F"},
	{from: 0xbc, to: 0xbc, imm: immNone, types: "f:i"},
	{from: 0xbd, to: 0xbd, imm: immNone, types: "F:I"},
	{from: 0xbe, to: 0xbe, imm: immNone, types: "i:f"},
	{from: 0xbf, to: 0xbf, imm: immNone, types: "I:F"},
	{from: 0xc0, to: 0xc1, imm: immNone, types: "i:i"}, // sign extension
	{from: 0xc2, to: 0xc4, imm: immNone, types: "I:I"},

	{from: 0xd0, to: 0xd0, imm: immReference},
	{from: 0xd1, to: 0xd1, imm: immNone},
	{from: 0xd2, to: 0xd2, imm: immIndex},
}

var bulkRows = [...]row{
	{from: 0, to: 1, imm: immNone, types: "f:i"}, // saturating conversions
	{from: 2, to: 3, imm: immNone, types: "F:i"},
	{from: 4, to: 5, imm: immNone, types: "f:I"},
	{from: 6, to: 7, imm: immNone, types: "F:I"},
	{from: 8, to: 8, imm: immIndexZero, types: "iii:"},
	{from: 9, to: 9, imm: immIndex, types: ":"},
	{from: 10, to: 10, imm: immZeroZero, types: "iii:"},
	{from: 11, to: 11, imm: immZero, types: "iii:"},
	{from: 12, to: 12, imm: immTwo, types: "iii:"},
	{from: 13, to: 13, imm: immIndex, types: ":"},
	{from: 14, to: 14, imm: immTwo, types: "iii:"},
	{from: 15, to: 17, imm: immIndex},
}

// refuseInstruction names a feature that Sheaf does not accept, and how to
// build without it.
func refuseInstruction(prefix byte, op uint32, at int) error {
	where := fmt.Sprintf("(instruction at byte %d)", at)
	switch {
	case prefix == prefixVector && op > 0xff:
		return unsupported("uses relaxed SIMD, whose results differ between machines: build without -mrelaxed-simd %s", where)
	case prefix == prefixVector:
		return invalid(at, "there is no vector instruction %d", op)
	case prefix == prefixBulk:
		return unsupported("uses the instruction 0xfc %d of a newer WebAssembly: build for WebAssembly 2.0 %s", op, where)
	}
	switch {
	case op == 0xfe:
		return unsupported("uses atomic instructions (threads): build without -pthread and -matomics %s", where)
	case op >= 0x06 && op <= 0x0a, op == 0x18, op == 0x19, op == 0x1f:
		return unsupported("uses exceptions: build without -fwasm-exceptions and with -fno-exceptions %s", where)
	case op == 0x12, op == 0x13, op == 0x15:
		return unsupported("uses tail calls: build without -mtail-call %s", where)
	case op == 0xfb, op >= 0xd3 && op <= 0xd6, op == 0x14:
		return unsupported("uses garbage-collected or typed references: build for a target with linear memory, such as C, C++, Rust or Go %s", where)
	}
	return invalid(at, "there is no instruction 0x%02x", op)
}
