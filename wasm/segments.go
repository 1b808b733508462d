package wasm

// readElements reads what fills tables. An element segment's first number
// says in three bits whether it is passive or declared only (1), whether it
// names a table or is declared only (2), and whether its elements are
// expressions (4).
func (m *module) readElements(r *reader) {
	total := 0
	for range r.count("element segments", maxSegments) {
		flags := r.u32()
		if flags > 7 {
			r.invalid("an element segment begins with %d", flags)
		}
		of := FuncRef
		if flags&1 == 0 {
			of = m.readElementTable(r, flags&2 != 0)
		}
		kind := FuncRef
		switch {
		case flags&3 == 0:
		case flags&4 != 0:
			kind = r.referenceType()
		default:
			if b := r.byte(); b != 0 && r.err == nil {
				r.invalid("an element segment is of kind 0x%02x", b)
			}
		}
		if flags&1 == 0 && kind != of {
			r.invalid("an element segment of %s fills a table of %s", kind, of)
		}
		n := r.count("elements of one segment", maxElements)
		if total += n; total > maxElements {
			r.fail(tooLarge("it has more than %d elements", maxElements))
		}
		for i := 0; i < n && r.err == nil; i++ {
			if flags&4 != 0 {
				m.readConstant(r, kind)
			} else if f := r.u32(); int64(f) >= int64(len(m.functions)) {
				r.invalid("an element is function %d of %d", f, len(m.functions))
			} else {
				m.declare(f)
			}
		}
		if r.err != nil {
			return
		}
		m.elements = append(m.elements, kind)
	}
}

// readElementTable reads which table an active segment fills, and from where.
func (m *module) readElementTable(r *reader, named bool) ValueType {
	index := uint32(0)
	if named {
		index = r.u32()
	}
	if r.err == nil && int64(index) >= int64(len(m.tables)) {
		r.invalid("an element segment fills table %d of %d", index, len(m.tables))
	}
	m.readConstant(r, I32)
	if r.err != nil {
		return FuncRef
	}
	return m.tables[index].of
}

func (m *module) readData(r *reader) {
	m.segments = r.count("data segments", maxSegments)
	for range m.segments {
		flags := r.u32()
		if flags > 2 {
			r.invalid("a data segment begins with %d", flags)
		}
		if flags == 2 && r.u32() != 0 {
			r.fail(unsupported("uses more than one memory: build without -mmultimemory (multi-memory)"))
		}
		if flags != 1 {
			if len(m.memories) == 0 {
				r.invalid("a data segment fills a memory, but there is none")
			}
			m.readConstant(r, I32)
		}
		n := r.u32()
		if int64(n) > int64(r.left()) {
			r.invalid("a data segment is %d bytes long, but only %d are left", n, r.left())
		}
		r.bytes(int(n))
		if r.err != nil {
			return
		}
	}
}

// readCode notes where each function's instructions are.
func (m *module) readCode(r *reader) {
	m.codeBytes = r.left()
	n := r.count("functions", maxFuncs)
	m.bodies = make([]body, 0, n)
	for i := range n {
		size := r.u32()
		if int64(size) > int64(r.left()) {
			r.invalid("a function is %d bytes long, but only %d are left", size, r.left())
			return
		}
		if size > maxBody {
			r.fail(tooLarge("function %d takes %d bytes, at most %d are allowed: split it", m.importedFunctions+i, size, maxBody))
			return
		}
		part := r.part(size)
		m.bodies = append(m.bodies, m.readBody(&part))
		if part.err != nil {
			r.fail(part.err)
			return
		}
	}
}

func (m *module) readBody(r *reader) body {
	var b body
	total := uint64(0)
	function := m.importedFunctions + len(m.bodies)
	if function < len(m.functions) && int64(m.functions[function]) < int64(len(m.types)) {
		total = uint64(len(m.typeOf(function).Params))
	}
	groups := r.count("groups of locals", maxLocals)
	if groups > 0 {
		b.locals = make([]localGroup, 0, groups)
	}
	for range groups {
		g := localGroup{r.u32(), r.valueType()}
		if total += uint64(g.count); total > maxLocals {
			r.fail(tooLarge("function %d has %d local variables, at most %d are allowed: split it", function, total, maxLocals))
		}
		if r.err != nil {
			return b
		}
		b.count += g.count
		b.locals = append(b.locals, g)
	}
	b.from, b.to = r.at, r.end
	return b
}
