package wasm_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/sheafgrid/sheaf/wasm"
)

// instructions are all that there may be: an opcode with its prefix, and how
// many values of the first byte behind it are worth trying.
func instructions(yield func(op []byte, indices int)) {
	for op := range 256 {
		switch {
		case op >= 0x02 && op <= 0x05, op == 0x0b, op == 0xfc, op == 0xfd: // blocks have tests of their own
		case op >= 0x0c && op <= 0x11, op >= 0x20 && op <= 0x26, op == 0xd2:
			yield([]byte{byte(op)}, 8)
		default:
			yield([]byte{byte(op)}, 1)
		}
	}
	for op := range 20 {
		yield([]byte{0xfc, byte(op)}, 3)
	}
	for op := range 256 {
		yield(append([]byte{0xfd}, u(op)...), 1)
	}
	yield([]byte{0x1c, 1, 0x7f}, 1) // select with a type
	yield([]byte{0x1c, 1, 0x70}, 1)
	yield([]byte{0x1c, 2, 0x7f, 0x7f}, 1)
	yield([]byte{0xd0, 0x70}, 1)
	yield([]byte{0xd0, 0x6f}, 1)
	yield([]byte{0xd0, 0x7f}, 1)
}

// operands are all lists of up to n types.
func operands(n int, yield func(types string)) {
	yield("")
	if n == 0 {
		return
	}
	operands(n-1, func(types string) {
		if len(types) == n-1 {
			for _, t := range "iIfFvrx" {
				yield(types + string(t))
			}
		} else if types != "" {
			yield(types)
		}
	})
}

// surroundings is a module in which an instruction has all that it can name:
// a local, a global and a function of each type, two tables, and segments.
func surroundings() *assembler {
	a := &assembler{}
	zero := map[rune][]byte{
		'i': i32(0), 'I': i64(0), 'f': {0x43, 0, 0, 0, 0}, 'F': f64(0), 'v': append([]byte{0xfd, 12}, make([]byte, 16)...),
		'r': {0xd0, 0x70}, 'x': {0xd0, 0x6f},
	}
	for _, t := range "iIfFvrx" {
		mutable := byte(1)
		if t == 'F' {
			mutable = 0
		}
		a.globals = append(a.globals, code(letters[t], mutable, zero[t], end))
		a.function("", string(t)+":", "")
	}
	a.memory(1)
	a.tables = [][]byte{{0x70, 0, 1}, {0x6f, 0, 1}}
	a.elements = [][]byte{code(1, 0, 1, 0), code(5, 0x6f, 1, 0xd0, 0x6f, end)}
	a.dataCount = []byte{1}
	a.data = [][]byte{code(1, text("x"))}
	return a
}

// Validation agrees with that of an engine on every instruction with every
// list of operands. Zeros behind an instruction are its immediates and then
// the instruction unreachable, behind which everything may be left.
func TestValidationAgrees(t *testing.T) {
	if racing {
		t.Skip("needs minutes under the race detector; run it without -race")
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, engines()["interpreter"])
	defer r.Close(ctx)
	accepted, refused := 0, 0
	try := func(op []byte, index int, types string) {
		a := surroundings()
		var body []byte
		for _, c := range types {
			for i, l := range "iIfFvrx" {
				if c == l {
					body = append(body, get(i)...)
				}
			}
		}
		a.function("f", ":", "iIfFvrx", body, op, byte(index), make([]byte, 18))
		module := a.bytes()
		_, err := wasm.Rewrite(module, wasm.CurrentMeter)
		compiled, theirs := compile(ctx, r, module)
		if theirs == nil {
			compiled.Close(ctx)
		}
		lax := op[0] == 0x1c // the engine does not compare the type that a select names with its operands
		if (err == nil) != (theirs == nil) && !errors.Is(err, wasm.ErrUnsupported) && (err == nil || !lax) {
			t.Errorf("instruction %x %d on %q: %v, the engine: %v", op, index, types, err, theirs)
		}
		if err == nil {
			accepted++
		} else {
			refused++
		}
	}
	instructions(func(op []byte, indices int) {
		for index := range indices {
			operands(2, func(types string) { try(op, index, types) })
			switch {
			case op[0] == 0x1b, op[0] == 0x1c, op[0] == 0xfc && op[1] >= 8, op[0] == 0xfd && op[1] == 82:
				operands(3, func(types string) { try(op, index, types) })
			}
		}
	})
	t.Logf("%d accepted, %d refused", accepted, refused)
	if accepted < 400 || refused < 10_000 {
		t.Error("too few to show anything")
	}
}

// Blocks leave and take what their types say.
func TestBlocksAreValidated(t *testing.T) {
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, engines()["interpreter"])
	defer r.Close(ctx)
	for _, c := range []struct {
		name string
		want bool
		code []byte
	}{
		{"leaves one", true, code(block(typeI32), i32(1), end, drop)},
		{"leaves another", false, code(block(typeI32), i64(1), end, drop)},
		{"leaves two", false, code(block(typeI32), i32(1), i32(1), end, drop)},
		{"reaches below", false, code(i32(1), block(empty), drop, end)},
		{"then without else leaves", false, code(i32(1), ifThen(typeI32), i32(1), end, drop)},
		{"then and else differ", false, code(i32(1), ifThen(typeI32), i32(1), otherwise, i64(1), end, drop)},
		{"else of a block", false, code(block(empty), otherwise, end)},
		{"two elses", false, code(i32(1), ifThen(empty), otherwise, otherwise, end)},
		{"condition of 64 bits", false, code(i64(1), ifThen(empty), end)},
		{"branch with a value", true, code(block(typeI32), i32(1), br(0), end, drop)},
		{"branch without", false, code(block(typeI32), br(0), end, drop)},
		{"branch to a loop without", true, code(loop(typeI32), br(0), end, drop)},
		{"conditional branch keeps", true, code(block(typeI32), i32(1), i32(1), brIf(0), end, drop)},
		{"conditional branch takes another", false, code(block(typeI32), i64(1), i32(1), brIf(0), end, drop)},
		{"table of equals", true, code(block(typeI32), block(typeI32), i32(1), i32(1), brTable(0, 1), end, end, drop)},
		{"table of unequals", false, code(block(typeI32), block(empty), i32(1), i32(1), brTable(0, 1), end, i32(1), end, drop)},
		{"table of types", false, code(block(0x7e), block(typeI32), i32(1), i32(1), brTable(0, 1), end, drop, i64(1), end, drop)},
		{"dead code of any type", true, code(unreachable, i32Add, drop)},
		{"dead code of a wrong type", false, code(unreachable, i64(1), i32Add, drop)},
		{"dead table of types", true, code(block(0x7e), block(typeI32), unreachable, brTable(0, 1), end, drop, i64(1), end, drop)},
		{"unknown type", false, code(block(u(99)), end)},
		{"negative type", false, code(0x02, 0xc0, 0x7f, end)},
		{"not closed", false, code(block(empty))},
		{"closed twice", false, code(end)},
	} {
		a := surroundings()
		a.function("f", ":", "", c.code)
		_, err := wasm.Rewrite(a.bytes(), wasm.CurrentMeter)
		compiled, theirs := compile(ctx, r, a.bytes())
		if theirs == nil {
			compiled.Close(ctx)
		}
		lax := c.name == "negative type" // the engine reads it as one without a value
		if (err == nil) != c.want || (theirs == nil) != c.want && !lax {
			t.Errorf("%s: got %v, want valid: %t; the engine: %v", c.name, err, c.want, theirs)
		}
	}
}
