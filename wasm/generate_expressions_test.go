package wasm_test

import "math/bits"

// expression leaves one i32 on the stack.
func (g *generator) expression(depth, height int) node {
	if height == 0 || g.rnd.IntN(5) == 0 {
		return g.leaf()
	}
	switch g.rnd.IntN(9) {
	case 0:
		return g.load(depth, height)
	case 1:
		return g.divide(depth, height)
	case 2:
		if g.current+1 < g.functions {
			return g.call(depth, height)
		}
	case 3:
		return g.valueBlock(depth, height)
	case 4:
		return g.valueIf(depth, height)
	}
	return g.arithmetic(depth, height)
}

func (g *generator) leaf() node {
	if g.rnd.IntN(2) == 0 {
		v := int32(g.rnd.Uint32()) >> g.rnd.IntN(32)
		return node{i32(v), func(m *machine, _ *[generatedLocals]int32) (int32, flow) { return v, m.spend(1) }}
	}
	i := g.rnd.IntN(generatedLocals)
	return node{get(i), func(m *machine, l *[generatedLocals]int32) (int32, flow) { return l[i], m.spend(1) }}
}

// both runs two operands and charges for the instruction that takes them.
func both(a, b node, m *machine, l *[generatedLocals]int32) (x, y int32, f flow) {
	if x, f = a.run(m, l); f != onward {
		return x, 0, f
	}
	if y, f = b.run(m, l); f != onward {
		return y, 0, f
	}
	return x, y, m.spend(1)
}

func (g *generator) arithmetic(depth, height int) node {
	a, b := g.expression(depth, height-1), g.expression(depth, height-1)
	op := []struct {
		op byte
		do func(x, y int32) int32
	}{
		{i32Add, func(x, y int32) int32 { return x + y }},
		{i32Sub, func(x, y int32) int32 { return x - y }},
		{i32Mul, func(x, y int32) int32 { return x * y }},
		{0x73, func(x, y int32) int32 { return x ^ y }},
		{0x77, func(x, y int32) int32 { return int32(bits.RotateLeft32(uint32(x), int(y&31))) }},
	}[g.rnd.IntN(5)]
	return node{code(a.code, b.code, op.op), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		x, y, f := both(a, b, m, l)
		if f != onward {
			return x, f
		}
		return op.do(x, y), onward
	}}
}

// divide divides by an odd number, so that it never traps.
func (g *generator) divide(depth, height int) node {
	a, b := g.expression(depth, height-1), g.expression(depth, height-1)
	return node{code(a.code, b.code, i32(1), 0x72 /* or */, 0x6e /* div_u */), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		x, y, f := both(a, b, m, l)
		if f == onward {
			f = m.spend(2)
		}
		if f != onward {
			return x, f
		}
		return int32(uint32(x) / uint32(y|1)), onward
	}}
}

func (g *generator) load(depth, height int) node {
	a := g.expression(depth, height-1)
	return node{code(a.code, i32(0xfff), 0x71 /* and */, 0x2d /* load8_u */, 0, 0), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		x, f := a.run(m, l)
		if f == onward {
			f = m.spend(3)
		}
		if f != onward {
			return x, f
		}
		return int32(m.memory[x&0xfff]), onward
	}}
}

func (g *generator) call(depth, height int) node {
	a := g.expression(depth, height-1)
	callee := g.current + 1 + g.rnd.IntN(g.functions-g.current-1)
	return node{code(a.code, call(uint32(callee))), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		x, f := a.run(m, l)
		if f == onward {
			f = m.spend(1)
		}
		if f != onward {
			return x, f
		}
		return m.call(callee, x)
	}}
}

// valueBlock leaves its block with a value, early or at its end.
func (g *generator) valueBlock(depth, height int) node {
	a, c, b := g.expression(depth+1, height-1), g.expression(depth+1, height-1), g.expression(depth+1, height-1)
	inside := code(block(typeI32), a.code, c.code, brIf(0), drop, b.code, end)
	return node{inside, func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		v, cond, f := both(a, c, m, l)
		if f != onward {
			return inBlock(v, f)
		}
		if cond != 0 {
			return v, onward
		}
		return inBlock(b.run(m, l))
	}}
}

func (g *generator) valueIf(depth, height int) node {
	c, a, b := g.expression(depth, height-1), g.expression(depth+1, height-1), g.expression(depth+1, height-1)
	return node{code(c.code, ifThen(typeI32), a.code, otherwise, b.code, end), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		v, f := c.run(m, l)
		if f == onward {
			f = m.spend(1)
		}
		if f != onward {
			return v, f
		}
		if v != 0 {
			return inBlock(a.run(m, l))
		}
		return inBlock(b.run(m, l))
	}}
}
