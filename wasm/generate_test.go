package wasm_test

import "math/rand/v2"

// generator writes random programs, and computes in Go what each one returns
// and how much work it does, without any of the code under test.
type generator struct {
	rnd       *rand.Rand
	functions int // those that a call may name are above the current one
	current   int
	size      int // statements that may still be written
}

// Every generated function takes one i32, has three more as locals, and
// returns one.
const generatedLocals = 4

// machine is the state of a program that is computed.
type machine struct {
	bodies [][]node
	memory []byte
	global int32
	work   uint64
	budget uint64 // computing ends when work is over it
}

// flow is where control goes: on, out of so many blocks, or away for good.
type flow int

const (
	onward    flow = -1
	returning flow = -2
	trapped   flow = -3
	exhausted flow = -4
)

// node is a statement or an expression: its code, and what it does.
type node struct {
	code []byte
	run  func(m *machine, locals *[generatedLocals]int32) (int32, flow)
}

func (m *machine) spend(n uint64) flow {
	if m.work += n; m.work > m.budget {
		return exhausted
	}
	return onward
}

func (m *machine) call(f int, argument int32) (int32, flow) {
	var l [generatedLocals]int32
	l[0] = argument
	v, fl := sequence(m.bodies[f], m, &l)
	switch fl {
	case trapped, exhausted:
		return 0, fl
	}
	return v, onward // the function's end, a return, or a branch to its label
}

func sequence(nodes []node, m *machine, l *[generatedLocals]int32) (v int32, f flow) {
	for _, n := range nodes {
		if v, f = n.run(m, l); f != onward {
			return v, f
		}
	}
	return v, onward
}

func join(nodes []node) (b []byte) {
	for _, n := range nodes {
		b = append(b, n.code...)
	}
	return b
}

// program is a module with functions f0, f1 and so on; f0 is exported.
func (g *generator) program() ([]byte, [][]node) {
	a := &assembler{}
	bodies := make([][]node, g.functions)
	for i := range bodies {
		g.current, g.size = i, 25
		bodies[i] = append(g.statements(1, 0), g.expression(0, 3))
	}
	for i, body := range bodies {
		name := ""
		if i == 0 {
			name = "f"
		}
		a.function(name, "i:i", "iii", join(body))
	}
	a.memory(1, 2)
	a.globals = [][]byte{code(0x7f, 1, i32(0), end)}
	return a.bytes(), bodies
}

// statements leave nothing on the stack. depth is how many blocks are open
// around them, the function's own not counted.
func (g *generator) statements(least, depth int) (list []node) {
	for n := least + g.rnd.IntN(4); n > 0 && g.size > 0; n-- {
		g.size--
		list = append(list, g.statement(depth))
	}
	return list
}

func (g *generator) statement(depth int) node {
	switch k := g.rnd.IntN(20); {
	case k < 5 || depth > 6:
		return g.assign(depth)
	case k < 8:
		return g.ifElse(depth)
	case k < 10:
		return g.block(depth)
	case k < 12:
		return g.loop(depth)
	case k < 14 && depth > 0:
		return g.branchIf(depth)
	case k < 15 && depth > 0:
		return g.branchTable(depth)
	case k == 15:
		return g.leave(depth)
	case k == 16:
		return g.fill(depth)
	case k == 17:
		return g.global(depth)
	case k == 18 && g.rnd.IntN(6) == 0:
		return node{code(unreachable, i32(1), drop), func(*machine, *[generatedLocals]int32) (int32, flow) { return 0, trapped }}
	}
	return g.discard(depth)
}

func (g *generator) assign(depth int) node {
	e, i := g.expression(depth, 3), g.rnd.IntN(generatedLocals)
	return node{code(e.code, set(i)), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		v, f := e.run(m, l)
		if f != onward {
			return v, f
		}
		l[i] = v
		return 0, m.spend(1)
	}}
}

func (g *generator) discard(depth int) node {
	e := g.expression(depth, 3)
	return node{code(e.code, drop), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		v, f := e.run(m, l)
		return v, f
	}}
}

func (g *generator) global(depth int) node {
	e := g.expression(depth, 2)
	return node{code(e.code, 0x23, 0, i32Add, 0x24, 0), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		v, f := e.run(m, l)
		if f != onward {
			return v, f
		}
		m.global += v
		return 0, m.spend(3)
	}}
}

// inBlock turns a branch to the block around into going on.
func inBlock(v int32, f flow) (int32, flow) {
	switch {
	case f == 0:
		return v, onward
	case f > 0:
		return v, f - 1
	}
	return v, f
}

func (g *generator) block(depth int) node {
	list := g.statements(1, depth+1)
	return node{code(block(empty), join(list), end), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		return inBlock(sequence(list, m, l))
	}}
}

// loop goes round up to eight times, or for ever where something in it
// branches to its head.
func (g *generator) loop(depth int) node {
	list := g.statements(1, depth+1)
	i := g.rnd.IntN(generatedLocals)
	tail := code(get(i), i32(1), i32Add, tee(i), i32(7), 0x71 /* and */, brIf(0))
	return node{code(loop(empty), join(list), tail, end), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		for {
			v, f := sequence(list, m, l)
			if f == onward {
				f = m.spend(7)
				if l[i]++; f == onward && l[i]&7 == 0 {
					return 0, onward
				} else if f == onward {
					f = 0
				}
			}
			if f == 0 {
				continue
			}
			return inBlock(v, f)
		}
	}}
}

func (g *generator) ifElse(depth int) node {
	c, then := g.expression(depth, 2), g.statements(1, depth+1)
	b := code(c.code, ifThen(empty), join(then))
	var other []node
	if g.rnd.IntN(2) == 0 {
		other = g.statements(0, depth+1)
		b = code(b, otherwise, join(other))
	}
	return node{code(b, end), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		v, f := c.run(m, l)
		if f == onward {
			f = m.spend(1)
		}
		if f != onward {
			return v, f
		}
		if v != 0 {
			return inBlock(sequence(then, m, l))
		}
		return inBlock(sequence(other, m, l))
	}}
}

// branchIf branches out of blocks and loops, never to the function's label,
// which would need a value: leave does that.
func (g *generator) branchIf(depth int) node {
	c, to := g.expression(depth, 2), g.rnd.IntN(depth)
	return node{code(c.code, brIf(to)), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		v, f := c.run(m, l)
		if f == onward {
			f = m.spend(1)
		}
		if f == onward && v != 0 {
			f = flow(to)
		}
		return v, f
	}}
}

func (g *generator) branchTable(depth int) node {
	c := g.expression(depth, 2)
	to := make([]int, 1+g.rnd.IntN(4))
	for i := range to {
		to[i] = g.rnd.IntN(depth)
	}
	return node{code(c.code, brTable(to...), i32(3), drop), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		v, f := c.run(m, l)
		if f == onward {
			f = m.spend(1)
		}
		if f == onward {
			f = flow(to[min(uint32(v), uint32(len(to)-1))])
		}
		return v, f
	}}
}

// leave ends the function by return, or by a branch to its label: always, on
// a condition, or by a table.
func (g *generator) leave(depth int) node {
	e, c := g.expression(depth, 2), g.expression(depth, 2)
	switch g.rnd.IntN(4) {
	case 0: // return; what follows is never executed
		return node{code(e.code, ret, i32(1), drop), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
			v, f := e.run(m, l)
			if f == onward {
				f = returning
			}
			return v, f
		}}
	case 1:
		return node{code(e.code, br(depth)), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
			v, f := e.run(m, l)
			if f == onward {
				f = m.spend(1)
			}
			if f == onward {
				f = returning
			}
			return v, f
		}}
	case 2:
		return node{code(e.code, i32(0), brTable(depth, depth)), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
			v, f := e.run(m, l)
			if f == onward {
				f = m.spend(2)
			}
			if f == onward {
				f = returning
			}
			return v, f
		}}
	}
	return node{code(e.code, c.code, brIf(depth), drop), func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		v, f := e.run(m, l)
		if f != onward {
			return v, f
		}
		cond, f := c.run(m, l)
		if f == onward {
			f = m.spend(1)
		} else {
			v = cond
		}
		if f == onward && cond != 0 {
			f = returning
		}
		return v, f
	}}
}

// fill writes up to 63 bytes and sometimes asks for a page.
func (g *generator) fill(depth int) node {
	e := g.expression(depth, 2)
	if g.rnd.IntN(3) == 0 {
		return node{code(i32(1), memoryGrow, drop), func(m *machine, _ *[generatedLocals]int32) (int32, flow) {
			if len(m.memory) < 2<<16 {
				m.memory = append(m.memory, make([]byte, 1<<16)...)
				return 0, m.spend(2 + 8192)
			}
			return 0, m.spend(2)
		}}
	}
	b := code(i32(100), i32(5), e.code, i32(63), 0x71 /* and */, memoryFill)
	return node{b, func(m *machine, l *[generatedLocals]int32) (int32, flow) {
		m.work += 2
		v, f := e.run(m, l)
		if f != onward {
			return v, f
		}
		n := int(v & 63)
		for i := range n {
			m.memory[100+i] = 5
		}
		return 0, m.spend(3 + uint64(n/8))
	}}
}
