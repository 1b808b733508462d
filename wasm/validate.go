package wasm

import "fmt"

// validator checks the instructions of one function after the other, as the
// appendix of the WebAssembly specification describes. It must refuse what any
// engine refuses: the rewriter adds globals and locals, and an index that was
// out of range before would reach them.
type validator struct {
	m       *module
	r       reader
	stack   []ValueType // of operands
	frames  []frame     // of blocks, the function itself first
	locals  []localGroup
	ends    []uint32 // where each group of locals ends
	results []ValueType
	in      instruction
	single  [256][1]ValueType // lists of one type, for blocks that leave one value
	tables  int               // br_table instructions so far
}

// frame is a block that is open.
type frame struct {
	op          opcode
	starts      []ValueType // what the block takes
	ends        []ValueType // what it leaves
	height      int         // of the operand stack below the block
	unreachable bool        // the rest of the block is never executed
	checked     int         // the last br_table that named this block
}

// labelTypes is what a branch to the block carries.
func (f *frame) labelTypes() []ValueType {
	if f.op == opLoop {
		return f.starts
	}
	return f.ends
}

// validateCode checks every function of a module.
func (m *module) validateCode() error {
	v := &validator{m: m}
	for t := range v.single {
		v.single[t][0] = ValueType(t)
	}
	for i := range m.bodies {
		if err := v.function(i); err != nil {
			return fmt.Errorf("function %d: %w", m.importedFunctions+i, err)
		}
	}
	return nil
}

func (v *validator) function(i int) error {
	b := &v.m.bodies[i]
	t := v.m.typeOf(v.m.importedFunctions + i)
	v.r = reader{module: v.m.bytes, at: b.from, end: b.to}
	v.stack, v.frames = v.stack[:0], v.frames[:0]
	v.results = t.Results
	v.setLocals(t.Params, b.locals)
	v.pushFrame(opBlock, nil, t.Results)
	for len(v.frames) > 0 && v.r.err == nil {
		v.in.decode(&v.r)
		if v.r.err == nil {
			v.step()
		}
	}
	v.r.finish("a function")
	return v.r.err
}

// setLocals lists groups of parameters and locals by where they end.
func (v *validator) setLocals(params []ValueType, locals []localGroup) {
	v.locals, v.ends = v.locals[:0], v.ends[:0]
	end := uint32(0)
	add := func(g localGroup) {
		end += g.count
		v.locals, v.ends = append(v.locals, g), append(v.ends, end)
	}
	for _, p := range params {
		add(localGroup{1, p})
	}
	for _, g := range locals {
		add(g)
	}
}

// local is the type of one local, by bisection over the groups.
func (v *validator) local(index uint32) ValueType {
	low, high := 0, len(v.ends)
	for low < high {
		if mid := (low + high) / 2; v.ends[mid] <= index {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == len(v.ends) {
		v.r.invalid("there is no local %d", index)
		return I32
	}
	return v.locals[low].typ
}

func (v *validator) push(t ValueType) {
	if len(v.stack) >= maxHeight {
		v.r.fail(tooLarge("it keeps more than %d values on the stack: split it", maxHeight))
		return
	}
	v.stack = append(v.stack, t)
}

func (v *validator) pushAll(types []ValueType) {
	for _, t := range types {
		v.push(t)
	}
}

func (v *validator) pushString(types string) {
	for i := range len(types) {
		v.push(ValueType(types[i]))
	}
}

// pop takes a value of any type.
func (v *validator) pop() ValueType {
	f := &v.frames[len(v.frames)-1]
	if len(v.stack) > f.height {
		t := v.stack[len(v.stack)-1]
		v.stack = v.stack[:len(v.stack)-1]
		return t
	}
	if !f.unreachable {
		v.r.invalid("an instruction takes a value that is not there")
	}
	return anyType
}

func (v *validator) expect(want ValueType) ValueType {
	got := v.pop()
	if got != want && got != anyType && want != anyType {
		v.r.invalid("an instruction takes %s where %s is", want, got)
	}
	return got
}

func (v *validator) expectAll(types []ValueType) {
	f := &v.frames[len(v.frames)-1]
	for i := len(types) - 1; i >= 0; i-- {
		if f.unreachable && len(v.stack) == f.height {
			return // code that is never executed takes what it likes
		}
		v.expect(types[i])
	}
}

func (v *validator) expectString(types string) {
	for i := len(types) - 1; i >= 0; i-- {
		v.expect(ValueType(types[i]))
	}
}

func (v *validator) pushFrame(op opcode, starts, ends []ValueType) {
	if len(v.frames) > maxNesting {
		v.r.fail(tooLarge("its blocks are nested more than %d deep: split it", maxNesting))
		return
	}
	v.frames = append(v.frames, frame{op: op, starts: starts, ends: ends, height: len(v.stack)})
	v.pushAll(starts)
}

// popFrame closes the innermost block: exactly its results are left.
func (v *validator) popFrame() frame {
	f := v.frames[len(v.frames)-1]
	v.expectAll(f.ends)
	if len(v.stack) != f.height {
		v.r.invalid("a block leaves more values than its type says")
	}
	v.frames = v.frames[:len(v.frames)-1]
	return f
}

// unreachable marks that what follows in the block is never executed.
func (v *validator) unreachable() {
	f := &v.frames[len(v.frames)-1]
	v.stack = v.stack[:f.height]
	f.unreachable = true
}

// label is the block that a branch goes to.
func (v *validator) label(depth uint32) *frame {
	if int64(depth) >= int64(len(v.frames)) {
		v.r.invalid("a branch leaves %d blocks, but there are %d", depth, len(v.frames))
		return &v.frames[0]
	}
	return &v.frames[len(v.frames)-1-int(depth)]
}
