package wasm

// Kind tells what an import or an export is.
type Kind uint8

// The kinds of imports and exports, numbered as in the binary format.
const (
	KindFunction Kind = iota
	KindTable
	KindMemory
	KindGlobal
)

// String is the kind's name in the text format.
func (k Kind) String() string {
	switch k {
	case KindFunction:
		return "function"
	case KindTable:
		return "table"
	case KindMemory:
		return "memory"
	case KindGlobal:
		return "global"
	}
	return "unknown"
}

// Import is one thing that a module needs from its host.
type Import struct {
	Module string
	Name   string
	Kind   Kind
	Func   FuncType // of a function
}

// Export is one thing that a module shows its host.
type Export struct {
	Name  string
	Kind  Kind
	Index uint32   // among the things of its kind, imported ones first
	Func  FuncType // of a function
}

// Limits are the size of a memory in pages of 64 KiB, or of a table in
// elements.
type Limits struct {
	Min    uint32
	Max    uint32 // only with HasMax
	HasMax bool
}

// Custom is a custom section: debug information, names, notes of tools.
type Custom struct {
	Name string
	Size int // in bytes, with the name
}

// Info is what a module says about itself.
type Info struct {
	Bytes     int // of the whole module
	CodeBytes int // of the code section
	Types     int
	Functions int // with code, without imported ones
	Tables    int // without imported ones
	Globals   int // without imported ones
	HasMemory bool
	Memory    Limits // in pages; only with HasMemory
	Imports   []Import
	Exports   []Export
	Custom    []Custom
	Command   bool // it exports StartExport, without parameters and results
	Start     bool // it has a start section: code that runs before any export is called
}

// Inspect takes a module apart. It checks all of it but the instructions of
// its functions, so a module that it accepts may still be refused by Check.
// What it keeps in memory is in proportion to the module, whatever the module
// claims. Errors wrap ErrNotWasm, ErrInvalid, ErrUnsupported or ErrTooLarge.
func Inspect(module []byte) (Info, error) {
	m, err := read(module)
	if err != nil {
		return Info{}, err
	}
	return m.info(), nil
}

func (m *module) info() Info {
	i := Info{
		Bytes:     len(m.bytes),
		CodeBytes: m.codeBytes,
		Types:     len(m.types),
		Functions: len(m.bodies),
		Tables:    len(m.tables) - m.importedTables,
		Globals:   len(m.globals) - m.importedGlobals,
		Imports:   m.imports,
		Exports:   m.exports,
		Custom:    m.custom,
		Start:     m.start >= 0,
	}
	if len(m.memories) > 0 {
		i.HasMemory, i.Memory = true, m.memories[0]
	}
	for _, e := range m.exports {
		if e.Name == StartExport && e.Kind == KindFunction && len(e.Func.Params)+len(e.Func.Results) == 0 {
			i.Command = true
		}
	}
	return i
}
