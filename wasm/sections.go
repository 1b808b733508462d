package wasm

func (m *module) readTypes(r *reader) {
	n := r.count("types", maxTypes)
	m.types = make([]FuncType, 0, n)
	for range n {
		if b := r.byte(); r.err == nil && b != 0x60 {
			if b == 0x5e || b == 0x5f || b == 0x4e || b == 0x4f || b == 0x50 {
				r.fail(unsupported("uses garbage-collected types: build for a target with linear memory, such as C, C++, Rust or Go"))
			}
			r.invalid("a type begins with 0x%02x", b)
		}
		t := FuncType{Params: r.valueTypes("parameters of one function", maxParams)}
		t.Results = r.valueTypes("results of one function", maxResults)
		if r.err != nil {
			return
		}
		m.types = append(m.types, t)
	}
}

func (m *module) readImports(r *reader) {
	for range r.count("imports", maxImports) {
		in := Import{Module: r.name(), Name: r.name()}
		kind := r.byte()
		in.Kind = Kind(kind)
		switch in.Kind {
		case KindFunction:
			t := r.u32()
			if r.err == nil && int(t) >= len(m.types) {
				r.invalid("the import %s.%s has type %d of %d", clip(in.Module), clip(in.Name), t, len(m.types))
				return
			}
			if r.err == nil {
				in.Func = m.types[t]
			}
			m.functions = append(m.functions, t)
			m.importedFunctions++
		case KindTable:
			m.tables = append(m.tables, r.table())
			m.importedTables++
		case KindMemory:
			m.memories = append(m.memories, r.memory())
			m.importedMemories++
		case KindGlobal:
			m.globals = append(m.globals, r.globalType())
			m.importedGlobals++
		default:
			if kind == 4 {
				r.fail(unsupported("uses exceptions (an imported tag): build without -fwasm-exceptions and with -fno-exceptions"))
			}
			r.invalid("there is no kind %d of imports", kind)
		}
		if r.err != nil {
			return
		}
		m.imports = append(m.imports, in)
	}
}

func (m *module) readFunctions(r *reader) {
	n := r.count("functions", maxFuncs)
	m.functions = append(make([]uint32, 0, n+len(m.functions)), m.functions...)
	for range n {
		m.functions = append(m.functions, r.u32())
	}
}

// limits reads the size of a table or a memory; most is what its addresses
// reach.
func (r *reader) limits(what string, most uint64) Limits {
	flags := r.byte()
	switch {
	case r.err != nil:
	case flags&2 != 0 && flags < 8:
		r.fail(unsupported("shares its memory between threads: build without -pthread and --shared-memory"))
	case flags&4 != 0 && flags < 8:
		r.fail(unsupported("uses 64-bit addresses (memory64): build for wasm32, not wasm64"))
	case flags > 1:
		r.invalid("the limits of a %s begin with 0x%02x", what, flags)
	}
	l := Limits{Min: r.u32(), HasMax: flags == 1}
	if l.HasMax {
		l.Max = r.u32()
	}
	if uint64(l.Min) > most || uint64(l.Max) > most {
		r.invalid("a %s cannot be larger than %d", what, most)
	}
	if l.HasMax && l.Min > l.Max {
		r.invalid("a %s begins with %d and may have at most %d", what, l.Min, l.Max)
	}
	return l
}

func (r *reader) memory() Limits { return r.limits("memory", maxPages) }

func (r *reader) table() table {
	return table{r.referenceType(), r.limits("table", 1<<32-1)}
}

func (r *reader) globalType() global {
	g := global{typ: r.valueType()}
	mutable := r.byte()
	if mutable > 1 {
		r.invalid("a global is neither constant nor mutable")
	}
	g.mutable = mutable == 1
	return g
}

func (m *module) readGlobals(r *reader) {
	for range r.count("globals", maxGlobals) {
		g := r.globalType()
		m.readConstant(r, g.typ)
		if r.err != nil {
			return
		}
		m.globals = append(m.globals, g)
	}
}

func (m *module) readExports(r *reader) {
	n := r.count("exports", maxExports)
	seen := make(map[string]struct{}, n)
	for range n {
		e := Export{Name: r.name()}
		kind := r.byte()
		e.Kind, e.Index = Kind(kind), r.u32()
		if r.err != nil {
			return
		}
		there := 0
		switch e.Kind {
		case KindFunction:
			there = len(m.functions)
		case KindTable:
			there = len(m.tables)
		case KindMemory:
			there = len(m.memories)
		case KindGlobal:
			there = len(m.globals)
		default:
			r.invalid("there is no kind %d of exports", kind)
		}
		if int64(e.Index) >= int64(there) {
			r.invalid("the export %s is %s %d of %d", clip(e.Name), e.Kind, e.Index, there)
			return
		}
		if e.Kind == KindFunction {
			if t := m.functions[e.Index]; int(t) < len(m.types) {
				e.Func = m.types[t]
			}
			m.declare(e.Index)
		}
		if _, twice := seen[e.Name]; twice {
			r.invalid("it exports %s twice", clip(e.Name))
		}
		seen[e.Name] = struct{}{}
		m.exports = append(m.exports, e)
	}
}

// declare notes that a function is named outside of code, so that code may
// take a reference to it.
func (m *module) declare(function uint32) {
	if m.declared == nil {
		m.declared = make([]bool, len(m.functions))
	}
	m.declared[function] = true
}

// readConstant reads an expression that gives a global or an offset its
// value: one constant and an end.
func (m *module) readConstant(r *reader, want ValueType) {
	var in instruction
	in.decode(r)
	if r.err != nil {
		return
	}
	got := anyType
	switch in.op {
	case opI32Const:
		got = I32
	case opI64Const:
		got = I64
	case opF32Const:
		got = F32
	case opF64Const:
		got = F64
	case opV128Const:
		got = V128
	case opRefNull:
		got = in.typ
	case opRefFunc:
		if int64(in.index) >= int64(len(m.functions)) {
			r.invalid("a reference to function %d of %d", in.index, len(m.functions))
			return
		}
		m.declare(in.index)
		got = FuncRef
	case opGlobalGet:
		if int64(in.index) >= int64(m.importedGlobals) || m.globals[in.index].mutable {
			r.invalid("a constant depends on global %d, which is no imported constant", in.index)
			return
		}
		got = m.globals[in.index].typ
	}
	if got != want {
		r.invalid("a constant has the type %s, want %s", got, want)
		return
	}
	if in.decode(r); r.err == nil && in.op != opEnd {
		r.fail(unsupported("uses extended constant expressions: build without -mextended-const"))
	}
}
