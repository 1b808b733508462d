package wasm_test

import (
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/wasm"
)

// Counts here were worked out by hand from the package comment.
func TestCounts(t *testing.T) {
	two := func(a *assembler) []byte { return u(a.typ(":ii")) }
	for _, c := range []struct {
		name    string
		build   func(a *assembler)
		args    []uint64
		results string
		want    uint64
	}{
		{"nothing", func(a *assembler) { a.function("f", ":", "") }, nil, "[]", 0},
		{"two constants and a sum", func(a *assembler) { a.function("f", ":i", "", i32(1), i32(2), i32Add) }, nil, "[3]", 3},
		{"structure is free", func(a *assembler) {
			a.function("f", ":i", "", block(empty), nop, end, i32(1), drop, i32(2), ret)
		}, nil, "[2]", 2},
		{"then", func(a *assembler) {
			a.function("f", "i:i", "", get(0), ifThen(typeI32), i32(7), otherwise, i32(1), i32(2), i32Add, end)
		}, []uint64{1}, "[7]", 3},
		{"else", func(a *assembler) {
			a.function("f", "i:i", "", get(0), ifThen(typeI32), i32(7), otherwise, i32(1), i32(2), i32Add, end)
		}, []uint64{0}, "[3]", 5},
		{"if without else", func(a *assembler) {
			a.function("f", "i:i", "", get(0), ifThen(empty), i32(5), set(0), end, get(0))
		}, []uint64{0}, "[0]", 3},
		{"loop of five", func(a *assembler) {
			a.function("f", "i:", "", loop(empty), get(0), i32(1), i32Sub, tee(0), brIf(0), end)
		}, []uint64{1000}, "[]", 5000},
		{"loop in a loop", func(a *assembler) { // outer: 2 + inner + 5, inner: 5 each
			a.function("f", "i:", "i", loop(empty), i32(3), set(1), loop(empty), get(1), i32(1), i32Sub, tee(1), brIf(0), end,
				get(0), i32(1), i32Sub, tee(0), brIf(0), end)
		}, []uint64{10}, "[]", 10 * (2 + 15 + 5)},
		{"loop that takes a value", func(a *assembler) { // i32.const; then 3 + tee + br_if each time
			a.function("f", ":i", "i", i32(4), loop(u(a.typ("i:i"))), i32(1), i32Sub, tee(0), get(0), brIf(0), end)
		}, nil, "[0]", 1 + 4*5},
		{"block that leaves two values", func(a *assembler) {
			a.function("f", ":i", "", block(two(a)), i32(1), i32(2), br(0), end, i32Add)
		}, nil, "[3]", 4},
		{"branch out of the function", func(a *assembler) {
			a.function("f", ":i", "", block(empty), block(empty), i32(9), br(2), end, end, i32(1))
		}, nil, "[9]", 2},
		{"branch out of the function, taken", func(a *assembler) {
			a.function("f", "i:i", "", loop(empty), i32(9), get(0), brIf(1), drop, end, i32(1))
		}, []uint64{1}, "[9]", 3},
		{"branch out of the function, not taken", func(a *assembler) {
			a.function("f", "i:i", "", loop(empty), i32(9), get(0), brIf(1), drop, end, i32(1))
		}, []uint64{0}, "[1]", 4},
		{"table of branches, first", func(a *assembler) {
			a.function("f", "i:i", "", block(typeI32), i32(3), get(0), brTable(0, 1), end, i32(1), i32Add)
		}, []uint64{0}, "[4]", 5},
		{"table of branches, out of the function", func(a *assembler) {
			a.function("f", "i:i", "", block(typeI32), i32(3), get(0), brTable(0, 1), end, i32(1), i32Add)
		}, []uint64{77}, "[3]", 3},
		{"return of two results, code behind it", func(a *assembler) {
			a.function("f", ":ii", "", i32(1), i32(2), ret, i32(3), i32Add, i32(4), drop, drop, unreachable)
		}, nil, "[1 2]", 2},
		{"dead loop", func(a *assembler) {
			a.function("f", ":i", "", i32(1), ret, loop(empty), br(0), end, i32Mul, memoryGrow, i32Eqz)
			a.memory(1)
		}, nil, "[1]", 1},
		{"calls", func(a *assembler) { // 2 calls of 3, and 2 instructions between them
			g := a.function("", ":i", "", i32(20), i32(1), i32Add)
			a.function("f", ":i", "", call(g), call(g), i32Add, i32(0), i32Add)
		}, nil, "[42]", 2*(1+3) + 3},
		{"call in a loop", func(a *assembler) {
			g := a.function("", "i:i", "", get(0), i32(1), i32Sub)
			a.function("f", "i:", "", loop(empty), get(0), call(g), tee(0), brIf(0), end)
		}, []uint64{10}, "[]", 10 * (4 + 3)},
		{"call before a loop", func(a *assembler) {
			g := a.function("", ":", "")
			a.function("f", "i:", "", call(g), loop(empty), get(0), i32(1), i32Sub, tee(0), brIf(0), end, call(g))
		}, []uint64{3}, "[]", 1 + 15 + 1},
		{"recursion", func(a *assembler) { // 5!: get, if; get, get, const, sub, call, mul; the last: get, if, const
			a.function("f", "i:i", "", get(0), ifThen(typeI32), get(0), get(0), i32(1), i32Sub, call(0), i32Mul, otherwise, i32(1), end)
		}, []uint64{5}, "[120]", 5*8 + 3},
		{"indirect call", func(a *assembler) {
			g := a.function("", ":i", "", i32(6))
			a.tables = [][]byte{{0x70, 0, 1}}
			a.elements = [][]byte{code(0, i32(0), end, 1, u(g))}
			a.function("f", ":i", "", i32(0), 0x11, u(a.typ(":i")), 0)
		}, nil, "[6]", 3},
		{"vectors", func(a *assembler) { // splat, splat, add, extract
			a.function("f", ":i", "", i32(3), 0xfd, 17, i32(4), 0xfd, 17, 0xfd, u(174), 0xfd, 27, 2)
		}, nil, "[7]", 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &assembler{}
			c.build(a)
			got := runMetered(t, a.bytes(), noLimit, "f", c.args...)
			if got.trap != "" || got.results != c.results || got.count != c.want {
				t.Errorf("got %+v, want results %s and count %d", got, c.results, c.want)
			}
		})
	}
}

// Instructions on many bytes or elements are charged by their length.
func TestCountsOfLengths(t *testing.T) {
	for _, c := range []struct {
		name string
		code []byte
		want uint64
	}{
		{"fill", code(i32(0), i32(1), i32(100), memoryFill), 4 + 12},
		{"fill of less than a word", code(i32(0), i32(1), i32(7), memoryFill), 4},
		{"fill of nothing", code(i32(0), i32(1), i32(0), memoryFill), 4},
		{"copy", code(i32(0), i32(8), i32(65528), memoryCopy), 4 + 8191},
		{"init", code(i32(0), i32(0), i32(16), 0xfc, 8, 0, 0), 4 + 2},
		{"data.drop", code(0xfc, 9, 0), 1},
		{"grow", code(i32(2), memoryGrow, drop), 2 + 2*8192},
		{"grow by nothing", code(i32(0), memoryGrow, drop), 2},
		{"grow that is refused", code(i32(5000), memoryGrow, drop), 2},
		{"grow by minus one", code(i32(-1), memoryGrow, drop), 2},
		{"grow and size", code(i32(1), memoryGrow, memorySize, i32Add, drop), 4 + 8192},
		{"two fills", code(i32(0), i32(1), i32(80), memoryFill, i32(0), i32(1), i32(80), memoryFill), 8 + 20},
		{"table.fill", code(i32(1), 0xd0, 0x70, i32(7), 0xfc, 17, 0), 4 + 7},
		{"table.copy", code(i32(0), i32(1), i32(9), 0xfc, 14, 0, 0), 4 + 9},
		{"table.init", code(i32(0), i32(0), i32(1), 0xfc, 12, 0, 0), 4 + 1},
		{"elem.drop", code(0xfc, 13, 0), 1},
		{"table.grow", code(0xd0, 0x70, i32(5), 0xfc, 15, 0, drop), 3 + 5},
		{"table.grow that is refused", code(0xd0, 0x70, i32(50), 0xfc, 15, 0, drop), 3},
		{"table.size", code(0xfc, 16, 0, drop), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &assembler{}
			f := a.function("f", ":", "", c.code)
			a.memory(1, 1000)
			a.tables = [][]byte{{0x70, 1, 10, 20}}
			a.elements = [][]byte{code(1, 0, 1, u(f))}
			a.dataCount = []byte{1}
			a.data = [][]byte{code(1, text("sixteen letters!"))}
			if got := runMetered(t, a.bytes(), noLimit, "f"); got.trap != "" || got.count != c.want {
				t.Errorf("got %+v, want count %d", got, c.want)
			}
		})
	}
}

// runaways are programs that would never end, or do much with one instruction.
var runaways = []struct {
	name  string
	build func(a *assembler)
}{
	{"loop", func(a *assembler) { a.function("f", ":", "", loop(empty), br(0), end) }},
	{"loop after its segment", func(a *assembler) { a.function("f", ":", "", loop(empty), i32(1), brIf(0), end) }},
	{"loop with calls", func(a *assembler) {
		g := a.function("", ":", "")
		a.function("f", ":", "", loop(empty), call(g), br(0), end)
	}},
	{"loop with calls that loop", func(a *assembler) {
		g := a.function("", ":", "i", i32(50), set(0), loop(empty), get(0), i32(1), i32Sub, tee(0), brIf(0), end)
		a.function("f", ":", "", loop(empty), call(g), br(0), end)
	}},
	{"loop by a table of branches", func(a *assembler) {
		a.function("f", ":", "", loop(empty), block(empty), i32(9), brTable(1, 0, 1), end, end)
	}},
	{"recursion", func(a *assembler) { a.function("f", ":", "", call(0)) }},
	{"mutual recursion with results", func(a *assembler) {
		a.function("", "i:i", "", get(0), call(1), i32(1), i32Add)
		a.function("f", "i:i", "", get(0), ifThen(typeI32), i32(0), otherwise, get(0), call(0), end)
	}},
	{"doubling recursion", func(a *assembler) { // 2^60 calls, 60 deep
		a.function("f", "i:", "", get(0), i32(60), 0x46, ifThen(empty), ret, end, get(0), i32(1), i32Add, call(0), get(0), i32(1), i32Add, call(0))
	}},
	{"fill", func(a *assembler) {
		a.memory(1000)
		a.function("f", ":", "", i32(0), i32(1), i32(1000<<16), memoryFill)
	}},
	{"fills", func(a *assembler) {
		a.memory(1000)
		a.function("f", ":", "", loop(empty), i32(0), i32(1), i32(100<<16), memoryFill, br(0), end)
	}},
	{"copy", func(a *assembler) {
		a.memory(1000)
		a.function("f", ":", "", i32(0), i32(1), i32(900<<16), memoryCopy)
	}},
	{"table.fill", func(a *assembler) {
		a.tables = [][]byte{code(0x70, 0, u(1_000_000))}
		a.function("f", ":", "", i32(0), 0xd0, 0x70, i32(1_000_000), 0xfc, 17, 0)
	}},
}

func TestLimitStops(t *testing.T) {
	const limit = 1500 // below the 2,000 calls that the interpreter nests
	for _, c := range runaways {
		t.Run(c.name, func(t *testing.T) {
			a := &assembler{}
			c.build(a)
			var args []uint64
			if strings.Contains(c.name, "recursion") && c.name != "recursion" {
				args = []uint64{0}
			}
			got := runMetered(t, a.bytes(), limit, "f", args...)
			if !strings.Contains(got.trap, "unreachable") || !got.overLimit(limit) {
				t.Errorf("got %+v, want the trap unreachable and a count over %d", got, limit)
			}
			if most := uint64(limit + 64<<20); got.count > most {
				t.Errorf("counted %d, want at most %d", got.count, most)
			}
		})
	}
}

// A limit of exactly the work lets the program end; one less does not.
func TestLimitIsExact(t *testing.T) {
	a := &assembler{}
	a.function("f", "i:", "", loop(empty), get(0), i32(1), i32Sub, tee(0), brIf(0), end)
	for _, c := range []struct {
		limit, count uint64
		over         bool
	}{{500, 500, false}, {499, 500, true}, {495, 500, true}, {494, 495, true}, {0, 5, true}} {
		got := runMetered(t, a.bytes(), c.limit, "f", 100)
		if got.count != c.count || got.overLimit(c.limit) != c.over || (got.trap != "") != c.over {
			t.Errorf("limit %d: got %+v, want count %d, over: %t", c.limit, got, c.count, c.over)
		}
	}
}

// A host that forgets to set the limit runs nothing.
func TestLimitIsZeroAtFirst(t *testing.T) {
	a := &assembler{}
	a.function("f", ":i", "", i32(1))
	if got := runMetered(t, a.bytes(), 0, "f"); got.trap == "" || got.count != 1 {
		t.Errorf("got %+v, want a trap and count 1", got)
	}
}

// The program's own traps are told from the limit by the count.
func TestTrapAttribution(t *testing.T) {
	for _, c := range []struct {
		name, trap string
		code       []byte
		count      uint64 // with all of the last segment that was stored
	}{
		{"unreachable", "unreachable", code(i32(1), drop, unreachable), 1},
		{"unreachable in a loop", "unreachable", code(loop(empty), get(0), i32(1), i32Sub, tee(0), brIf(0), unreachable, end), 50},
		{"unreachable in a branch", "unreachable", code(get(0), ifThen(empty), i32(1), drop, unreachable, end), 3},
		{"division", "integer divide by zero", code(i32(1), i32(0), i32DivS, drop), 3},
		{"division behind a loop", "integer divide by zero", code(loop(empty), get(0), i32(1), i32Sub, tee(0), brIf(0), end, i32(1), i32(0), i32DivS, drop), 53},
		{"memory", "out of bounds memory access", code(i32(-1), 0x28, 2, 0, drop), 2},
		{"fill out of bounds", "out of bounds memory access", code(i32(0), i32(0), i32(1<<17), memoryFill), 4 + 1<<14},
		{"indirect call", "invalid table access", code(i32(99), 0x11, 0, 0), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &assembler{}
			a.typ(":")
			a.function("f", "i:", "", c.code)
			a.memory(1)
			a.tables = [][]byte{{0x70, 0, 1}}
			got := runMetered(t, a.bytes(), noLimit, "f", 10)
			if !strings.Contains(got.trap, c.trap) || got.overLimit(noLimit) || got.count != c.count {
				t.Errorf("got %+v, want the trap %q and count %d", got, c.trap, c.count)
			}
		})
	}
}

// A host function may look at the count, and add to it what its own work
// costs.
func TestCountIsRightInHostCalls(t *testing.T) {
	a := &assembler{}
	random := a.importFunction("wasi_snapshot_preview1", "proc_exit", "i:")
	a.function("_start", ":", "i", i32(3), set(0), i32(0), call(random), i32(1), i32(2), drop, drop)
	got := runMetered(t, a.bytes(), noLimit, "_start")
	if got.count != 4 {
		t.Errorf("a program that exits after 4 instructions counted %d", got.count)
	}
}

func TestRewriteKnowsItsVersions(t *testing.T) {
	a := &assembler{}
	a.function("f", ":", "")
	for _, v := range []uint16{0, 2, 65535} {
		wantError(t, "Rewrite", wasm.ErrMeter, "version", func() error { _, err := wasm.Rewrite(a.bytes(), v); return err })
	}
}
