package wasm

import "fmt"

// CurrentMeter is the newest version of the meter.
const CurrentMeter uint16 = 1

// Names under which a rewritten module exports the two globals of its meter.
// Both are mutable and of type i64, to be read as unsigned numbers, and zero
// at first.
const (
	// CountExport is the work that was counted so far.
	CountExport = "sheaf_work"

	// LimitExport is the work that the program may do, below 1<<63. The host
	// sets it after instantiation and before it calls StartExport; while it is
	// zero, the program traps as soon as it does any work.
	LimitExport = "sheaf_work_limit"
)

// maxRewritten bounds what a rewritten module takes: rewriting adds a third to
// usual programs, but can multiply the size of one that was made for it.
const maxRewritten = 128 << 20

// Rewrite returns the module with a meter of the given version built in, and
// without custom sections. The package comment says what the meter counts.
// The result is a function of the module's contents and the version alone: it
// is the same bytes on every machine and in every later release.
//
// The module must be valid, and Rewrite checks that it is; but what its host
// has to provide is for Check to say. Errors wrap ErrMeter, ErrNotWasm,
// ErrInvalid, ErrUnsupported, ErrTooLarge, or ErrExport when the module
// already exports a name of the meter.
func Rewrite(module []byte, version uint16) ([]byte, error) {
	meter, err := findMeter(version)
	if err != nil {
		return nil, err
	}
	m, err := read(module)
	if err != nil {
		return nil, err
	}
	if err := m.checkMeterable(); err != nil {
		return nil, err
	}
	if err := m.validateCode(); err != nil {
		return nil, err
	}
	return m.rewrite(meter)
}

func findMeter(version uint16) (*meter, error) {
	if version == 0 || int(version) >= len(meters) {
		return nil, fmt.Errorf("%w: version %d is asked for, this Sheaf knows 1 to %d", ErrMeter, version, len(meters)-1)
	}
	return &meters[version], nil
}

// checkMeterable refuses what would escape a meter or clash with it.
func (m *module) checkMeterable() error {
	if m.start >= 0 {
		return unsupported("has a start section, code that runs before %s is called and so before the limit on its work is set: "+
			"link without --shared-memory, or move that code into %s", StartExport, StartExport)
	}
	for _, e := range m.exports {
		if e.Name == CountExport || e.Name == LimitExport {
			return fmt.Errorf("%w: it exports %q, a name that Sheaf keeps for its meter; rename it", ErrExport, e.Name)
		}
	}
	return nil
}

// rewrite copies a valid module section by section. The meter's globals come
// behind the module's own, so that no index in it changes.
func (m *module) rewrite(meter *meter) ([]byte, error) {
	code, err := m.meterCode(meter)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(m.bytes)-m.codeBytes+len(code)+64)
	out = append(out, m.bytes[:8]...)
	for _, id := range [...]byte{
		sectionType, sectionImport, sectionFunction, sectionTable, sectionMemory, sectionGlobal,
		sectionExport, sectionElement, sectionDataCount, sectionCode, sectionData,
	} {
		content, there := m.content(id)
		switch id {
		case sectionGlobal:
			content, there = m.meterGlobals(content), true
		case sectionExport:
			content, there = m.meterExports(content), true
		case sectionCode:
			content = code
		}
		if there {
			out = appendSection(out, id, content)
		}
	}
	return out, nil
}

// content is what a section holds.
func (m *module) content(id byte) (content []byte, there bool) {
	for _, s := range m.sections {
		if s.id == id {
			return m.bytes[s.from:s.to], true
		}
	}
	return nil, false
}

// meterGlobals adds the count and the limit to a global section.
func (m *module) meterGlobals(section []byte) []byte {
	b := appendEntries(section, 2)
	for range 2 {
		b = append(b, byte(I64), 1, byte(opI64Const), 0, byte(opEnd))
	}
	return b
}

// meterExports adds the count and the limit to an export section.
func (m *module) meterExports(section []byte) []byte {
	b := appendEntries(section, 2)
	b = appendU32(append(appendName(b, CountExport), byte(KindGlobal)), m.countGlobal())
	return appendU32(append(appendName(b, LimitExport), byte(KindGlobal)), m.limitGlobal())
}

func (m *module) countGlobal() uint32 { return uint32(len(m.globals)) }

func (m *module) limitGlobal() uint32 { return uint32(len(m.globals)) + 1 }

// appendEntries copies a section that begins with a number of entries, with
// that number raised for those that the caller adds.
func appendEntries(section []byte, more uint32) []byte {
	r := reader{module: section, end: len(section)}
	n := uint32(0)
	if len(section) > 0 {
		n = r.u32()
	}
	return append(appendU32(nil, n+more), section[r.at:]...)
}
