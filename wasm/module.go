package wasm

// Section numbers of the binary format.
const (
	sectionCustom    = 0
	sectionType      = 1
	sectionImport    = 2
	sectionFunction  = 3
	sectionTable     = 4
	sectionMemory    = 5
	sectionGlobal    = 6
	sectionExport    = 7
	sectionStart     = 8
	sectionElement   = 9
	sectionCode      = 10
	sectionData      = 11
	sectionDataCount = 12
	sectionTag       = 13
)

// sectionOrder gives the place of each section in a module; the data count
// comes before the code.
var sectionOrder = [...]uint8{
	sectionType: 1, sectionImport: 2, sectionFunction: 3, sectionTable: 4, sectionMemory: 5, sectionGlobal: 6, sectionExport: 7,
	sectionStart: 8, sectionElement: 9, sectionDataCount: 10, sectionCode: 11, sectionData: 12,
}

// section is one section that is not custom, where it lies in the module.
type section struct {
	id       byte
	from, to int
}

// module is a module as it was read. It refers to the bytes that it was read
// from.
type module struct {
	bytes    []byte
	sections []section
	custom   []Custom

	types     []FuncType
	imports   []Import
	functions []uint32 // the type of each function, imported ones first
	tables    []table  // imported ones first
	memories  []Limits
	globals   []global // imported ones first
	exports   []Export
	start     int // the function of the start section, or -1
	elements  []ValueType
	segments  int // data segments
	dataCount int // what the data count section says, or -1
	bodies    []body
	declared  []bool // functions that ref.func may name
	codeBytes int
	grown     [maxTables]bool // tables that code grows, once it was validated

	importedFunctions, importedTables, importedMemories, importedGlobals int
}

type table struct {
	of     ValueType
	limits Limits
}

type global struct {
	typ     ValueType
	mutable bool
}

// body is one function's code: the number of its locals without parameters,
// and where its instructions lie.
type body struct {
	locals   []localGroup
	count    uint32
	from, to int
}

type localGroup struct {
	count uint32
	typ   ValueType
}

// read takes a module apart and checks all of it but the instructions of its
// functions.
func read(b []byte) (*module, error) {
	if err := checkHeader(b); err != nil {
		return nil, err
	}
	m := &module{bytes: b, start: -1, dataCount: -1}
	r := &reader{module: b, at: 8, end: len(b)}
	last := uint8(0)
	for r.more() {
		id := r.byte()
		s := r.part(r.sectionSize())
		if r.err != nil {
			break
		}
		if id == sectionCustom {
			m.readCustom(&s)
		} else {
			if id >= sectionTag {
				s.fail(refuseSection(id, s.at))
			} else if sectionOrder[id] <= last {
				s.invalid("section %d is there twice or in the wrong place", id)
			} else {
				last = sectionOrder[id]
			}
			m.sections = append(m.sections, section{id, s.at, s.end})
			m.readSection(id, &s)
			s.finish("a section")
		}
		if s.err != nil {
			return nil, s.err
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, m.checkWhole()
}

func (r *reader) sectionSize() uint32 {
	n := r.u32()
	if int64(n) > int64(r.left()) {
		r.invalid("a section is %d bytes long, but only %d are left: the file was cut off", n, r.left())
	}
	return n
}

func refuseSection(id byte, at int) error {
	if id == sectionTag {
		return unsupported("uses exceptions (a tag section): build without -fwasm-exceptions and with -fno-exceptions")
	}
	return invalid(at, "there is no section %d", id)
}

func (m *module) readSection(id byte, r *reader) {
	switch id {
	case sectionType:
		m.readTypes(r)
	case sectionImport:
		m.readImports(r)
	case sectionFunction:
		m.readFunctions(r)
	case sectionTable:
		for range r.count("tables", maxTables) {
			m.tables = append(m.tables, r.table())
		}
	case sectionMemory:
		for range r.count("memories", maxTables) {
			m.memories = append(m.memories, r.memory())
		}
	case sectionGlobal:
		m.readGlobals(r)
	case sectionExport:
		m.readExports(r)
	case sectionStart:
		m.start = int(r.u32())
	case sectionElement:
		m.readElements(r)
	case sectionDataCount:
		m.dataCount = int(r.u32())
	case sectionCode:
		m.readCode(r)
	case sectionData:
		m.readData(r)
	}
}

// readCustom notes a custom section. What is in it is nobody's business but
// that of tools.
func (m *module) readCustom(r *reader) {
	size := r.left()
	name := r.name()
	if len(m.custom) == maxCustom {
		r.fail(tooLarge("it has more than %d custom sections: strip it", maxCustom))
	}
	m.custom = append(m.custom, Custom{name, size})
}

// checkWhole checks what only all sections together can tell.
func (m *module) checkWhole() error {
	end := len(m.bytes)
	if n := len(m.functions) - m.importedFunctions; n != len(m.bodies) {
		return invalid(end, "it declares %d functions and has code for %d", n, len(m.bodies))
	}
	if m.dataCount >= 0 && m.dataCount != m.segments {
		return invalid(end, "it announces %d data segments and has %d", m.dataCount, m.segments)
	}
	if len(m.memories) > 1 {
		return unsupported("uses more than one memory: build without -mmultimemory (multi-memory)")
	}
	for _, f := range m.functions {
		if int(f) >= len(m.types) {
			return invalid(end, "a function has type %d of %d", f, len(m.types))
		}
	}
	if m.start >= 0 {
		if m.start >= len(m.functions) {
			return invalid(end, "it starts with function %d of %d", m.start, len(m.functions))
		}
		if t := m.typeOf(m.start); len(t.Params)+len(t.Results) != 0 {
			return invalid(end, "it starts with a function %s", t)
		}
	}
	return nil
}

// typeOf is the signature of a function.
func (m *module) typeOf(function int) FuncType { return m.types[m.functions[function]] }
