package wasm

// step checks one instruction.
func (v *validator) step() {
	shape := v.in.op.shape()
	if shape.imm >= immMemory && shape.imm <= immMemoryLane || shape.imm == immZero || shape.imm == immZeroZero || shape.imm == immIndexZero {
		if len(v.m.memories) == 0 {
			v.r.invalid("an instruction uses a memory, but there is none")
			return
		}
	}
	if shape.typed {
		v.expectString(shape.pops)
		v.pushString(shape.pushes)
		v.stepTyped()
		return
	}
	switch v.in.op {
	case opNop:
	case opUnreachable:
		v.unreachable()
	case opBlock, opLoop, opIf:
		v.stepBlock()
	case opElse:
		v.stepElse()
	case opEnd:
		v.stepEnd()
	case opBr:
		v.expectAll(v.label(v.in.index).labelTypes())
		v.unreachable()
	case opBrIf:
		v.expect(I32)
		types := v.label(v.in.index).labelTypes()
		v.expectAll(types)
		v.pushAll(types)
	case opBrTable:
		v.stepBrTable()
	case opReturn:
		v.expectAll(v.results)
		v.unreachable()
	case opCall, opCallIndirect:
		v.stepCall()
	case opDrop:
		v.pop()
	case opSelect:
		v.stepSelect()
	case opSelectTyped:
		v.expect(I32)
		v.expect(v.in.typ)
		v.expect(v.in.typ)
		v.push(v.in.typ)
	case opLocalGet:
		v.push(v.local(v.in.index))
	case opLocalSet:
		v.expect(v.local(v.in.index))
	case opLocalTee:
		t := v.local(v.in.index)
		v.expect(t)
		v.push(t)
	case opGlobalGet, opGlobalSet:
		v.stepGlobal()
	default:
		v.stepReference()
	}
}

// stepTyped checks the indices of instructions whose operands are checked.
func (v *validator) stepTyped() {
	switch v.in.op {
	case opMemoryInit, opDataDrop:
		if v.m.dataCount < 0 {
			v.r.invalid("it uses data segments in code, but has no data count section")
		} else if int64(v.in.index) >= int64(v.m.dataCount) {
			v.r.invalid("there is no data segment %d", v.in.index)
		}
	case opElemDrop:
		v.segment(v.in.index)
	case opTableInit:
		if v.segment(v.in.index) != v.table(v.in.second) {
			v.r.invalid("an element segment has another type than the table that it fills")
		}
	case opTableCopy:
		if v.table(v.in.index) != v.table(v.in.second) {
			v.r.invalid("a table is copied into one of another type")
		}
	case opShuffle:
		for _, lane := range v.in.bits {
			if lane >= 32 {
				v.r.invalid("two vectors of 16 lanes have no lane %d", lane)
			}
		}
	}
}

func (v *validator) segment(index uint32) ValueType {
	if int64(index) >= int64(len(v.m.elements)) {
		v.r.invalid("there is no element segment %d", index)
		return FuncRef
	}
	return v.m.elements[index]
}

func (v *validator) table(index uint32) ValueType {
	if int64(index) >= int64(len(v.m.tables)) {
		v.r.invalid("there is no table %d", index)
		return FuncRef
	}
	return v.m.tables[index].of
}

// stepReference checks instructions on references and on tables.
func (v *validator) stepReference() {
	switch v.in.op {
	case opRefNull:
		v.push(v.in.typ)
	case opRefIsNull:
		if t := v.pop(); t != anyType && !t.reference() {
			v.r.invalid("ref.is_null takes a reference, not %s", t)
		}
		v.push(I32)
	case opRefFunc:
		if int64(v.in.index) >= int64(len(v.m.declared)) || !v.m.declared[v.in.index] {
			v.r.invalid("a reference to function %d, which nothing outside of code names", v.in.index)
		}
		v.push(FuncRef)
	case opTableGet:
		t := v.table(v.in.index)
		v.expect(I32)
		v.push(t)
	case opTableSet:
		t := v.table(v.in.index)
		v.expect(t)
		v.expect(I32)
	case opTableSize:
		v.table(v.in.index)
		v.push(I32)
	case opTableGrow:
		t := v.table(v.in.index)
		if v.r.err == nil {
			v.m.grown[v.in.index] = true
		}
		v.expect(I32)
		v.expect(t)
		v.push(I32)
	case opTableFill:
		t := v.table(v.in.index)
		v.expect(I32)
		v.expect(t)
		v.expect(I32)
	}
}

func (v *validator) stepGlobal() {
	if int64(v.in.index) >= int64(len(v.m.globals)) {
		v.r.invalid("there is no global %d", v.in.index)
		return
	}
	g := v.m.globals[v.in.index]
	if v.in.op == opGlobalGet {
		v.push(g.typ)
		return
	}
	if !g.mutable {
		v.r.invalid("global %d is a constant and is set", v.in.index)
	}
	v.expect(g.typ)
}

func (v *validator) stepCall() {
	index := v.in.index
	if v.in.op == opCall {
		if int64(index) >= int64(len(v.m.functions)) {
			v.r.invalid("there is no function %d", index)
			return
		}
		index = v.m.functions[index]
	} else {
		if v.table(v.in.second) != FuncRef {
			v.r.invalid("an indirect call through table %d, which holds no functions", v.in.second)
		}
		v.expect(I32)
	}
	if int64(index) >= int64(len(v.m.types)) {
		v.r.invalid("there is no type %d", index)
		return
	}
	v.expectAll(v.m.types[index].Params)
	v.pushAll(v.m.types[index].Results)
}

// stepSelect checks the select without a type, which works on numbers and
// vectors only.
func (v *validator) stepSelect() {
	v.expect(I32)
	a, b := v.pop(), v.pop()
	switch {
	case a.reference() || b.reference():
		v.r.invalid("select on references must name their type")
	case a != b && a != anyType && b != anyType:
		v.r.invalid("select takes two values of one type, not %s and %s", b, a)
	}
	if a == anyType {
		a = b
	}
	v.push(a)
}

func (v *validator) blockType() (starts, ends []ValueType) {
	switch v.in.index {
	case blockEmpty:
		return nil, nil
	case blockResult:
		return nil, v.single[v.in.typ][:]
	}
	if int64(v.in.index) >= int64(len(v.m.types)) {
		v.r.invalid("there is no type %d", v.in.index)
		return nil, nil
	}
	t := v.m.types[v.in.index]
	return t.Params, t.Results
}

func (v *validator) stepBlock() {
	starts, ends := v.blockType()
	if len(starts) > maxResults {
		v.r.fail(tooLarge("a block takes %d values, at most %d are allowed", len(starts), maxResults))
		return
	}
	if v.in.op == opIf {
		v.expect(I32)
	}
	v.expectAll(starts)
	v.pushFrame(v.in.op, starts, ends)
}

func (v *validator) stepElse() {
	if v.frames[len(v.frames)-1].op != opIf {
		v.r.invalid("an else without its if")
		return
	}
	f := v.popFrame()
	v.pushFrame(opElse, f.starts, f.ends)
}

func (v *validator) stepEnd() {
	f := v.popFrame()
	if f.op == opIf && !sameTypes(f.starts, f.ends) {
		v.r.invalid("an if without an else leaves other values than it takes")
	}
	if len(v.frames) > 0 {
		v.pushAll(f.ends)
	}
}

func sameTypes(a, b []ValueType) bool { return FuncType{Params: a}.Equal(FuncType{Params: b}) }

// stepBrTable checks every block that a br_table names, once.
func (v *validator) stepBrTable() {
	v.expect(I32)
	v.tables++
	arity := len(v.label(v.in.labels[len(v.in.labels)-1]).labelTypes())
	for _, depth := range v.in.labels {
		f := v.label(depth)
		if f.checked == v.tables {
			continue
		}
		f.checked = v.tables
		types := f.labelTypes()
		if len(types) != arity {
			v.r.invalid("a br_table branches to blocks that take different numbers of values")
		}
		if v.r.err != nil {
			return
		}
		v.peekAll(types)
	}
	v.unreachable()
}

// peekAll is expectAll for values that stay.
func (v *validator) peekAll(types []ValueType) {
	f := &v.frames[len(v.frames)-1]
	for i := range types {
		want := types[len(types)-1-i]
		at := len(v.stack) - 1 - i
		if at < f.height {
			if !f.unreachable {
				v.r.invalid("a branch takes a value that is not there")
			}
			return
		}
		if got := v.stack[at]; got != want && got != anyType {
			v.r.invalid("a branch takes %s where %s is", want, got)
		}
	}
}
