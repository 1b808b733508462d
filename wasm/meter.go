package wasm

// meter is one version of what work costs. A version that was released never
// changes: task checksums name it.
type meter struct {
	weight     func(op opcode) int64 // of an instruction, before its length
	byteShift  int64                 // an instruction on n bytes costs n >> byteShift more
	pageWeight int64                 // a page of memory that was added costs this
}

// meters are the versions by number; there is no version 0.
var meters = [...]meter{
	1: {weight: weigh1, byteShift: 3, pageWeight: 64 << 10 >> 3},
}

// weigh1 counts instructions that do something: those that only mark the
// structure of code, or that an engine compiles to nothing, are free.
func weigh1(op opcode) int64 {
	switch op {
	case opUnreachable, opNop, opBlock, opLoop, opElse, opEnd, opReturn, opDrop:
		return 0
	}
	return 1
}

// bodyWriter rewrites one function after the other. The code that it adds
// keeps the count in a local and brings the exported global up to date where
// somebody may look at it; see the package comment.
//
// The function's instructions are wrapped in a block: a branch to its end is
// the way of a program that is over its limit.
//
//	block
//	  ...        the segments, each behind the code that charges for it
//	  return
//	end
//	unreachable
type bodyWriter struct {
	meter *meter
	out   []byte

	count, limit  uint32 // the meter's globals
	local         uint32 // the count, as far as this function knows it
	length, added uint32 // scratch of type i32
	scratch       bool   // they are used

	depth int // blocks of the function that are open

	// The segment: instructions that were read and not written yet.
	segment []byte
	cost    int64
	stale   bool // at its start, only the global is right and not the local
	check   bool // at its start, the limit is compared: the function's first, or a loop's
	inside  int  // depth there
}

// use says who needs the count at the end of a segment.
type use uint8

const (
	useLocal  use = 1 << iota // the next segment of this function
	useGlobal                 // whoever this function calls or returns to
)

// meterCode is the code section with the meter built in.
func (m *module) meterCode(version *meter) ([]byte, error) {
	w := &bodyWriter{meter: version, count: m.countGlobal(), limit: m.limitGlobal()}
	code := make([]byte, 0, m.codeBytes+m.codeBytes/2)
	code = appendU32(code, uint32(len(m.bodies)))
	var locals []byte
	for i := range m.bodies {
		function := m.importedFunctions + i
		w.function(m.bytes, &m.bodies[i], len(m.typeOf(function).Params))
		locals = w.appendLocals(locals[:0], m.bodies[i].locals)
		size := len(locals) + len(w.out)
		if size > maxRewrittenBody || len(code)+size > maxRewritten {
			return nil, tooLarge("function %d takes %d bytes with its meter, at most %d are allowed for it and %d for all: split it",
				function, size, maxRewrittenBody, maxRewritten)
		}
		code = appendU32(code, uint32(size))
		code = append(append(code, locals...), w.out...)
	}
	return code, nil
}

func (w *bodyWriter) appendLocals(b []byte, groups []localGroup) []byte {
	n := len(groups) + 1
	if w.scratch {
		n++
	}
	b = appendU32(b, uint32(n))
	for _, g := range groups {
		b = append(appendU32(b, g.count), byte(g.typ))
	}
	b = append(b, 1, byte(I64))
	if w.scratch {
		b = append(b, 2, byte(I32))
	}
	return b
}

func (w *bodyWriter) function(module []byte, b *body, params int) {
	w.local = uint32(params) + b.count
	w.length, w.added, w.scratch = w.local+1, w.local+2, false
	w.out = append(w.out[:0], byte(opBlock), 0x40)
	w.segment, w.cost = w.segment[:0], 0
	w.depth, w.inside = 0, 0
	w.stale, w.check = true, true
	var in instruction
	for r := (reader{module: module, at: b.from, end: b.to}); r.at < r.end; {
		in.decode(&r)
		w.step(&in)
	}
}

// step takes one instruction into the segment and ends the segment where
// control flow may part or meet, or the count is asked for.
func (w *bodyWriter) step(in *instruction) {
	w.cost += w.meter.weight(in.op)
	switch in.op {
	case opBlock:
		w.add(in)
		w.depth++
	case opLoop, opIf:
		w.add(in)
		w.depth++
		w.finish(useLocal)
		w.check = in.op == opLoop
	case opElse:
		w.finish(useLocal)
		w.emit(opElse)
	case opEnd:
		w.end()
	case opBr, opBrIf, opBrTable:
		leaves := w.relabel(in)
		w.add(in)
		w.finish(useLocal | leaves)
	case opReturn, opUnreachable:
		w.add(in)
		w.finish(useGlobal)
	case opCall, opCallIndirect:
		w.add(in)
		w.finish(useGlobal)
		w.stale = true
	case opMemoryInit, opMemoryCopy, opMemoryFill:
		w.chargeLength(in, w.meter.byteShift)
	case opTableInit, opTableCopy, opTableFill:
		w.chargeLength(in, 0)
	case opMemoryGrow:
		w.chargeGrowth(in, w.meter.pageWeight)
	case opTableGrow:
		w.chargeGrowth(in, 1)
	default:
		w.add(in)
	}
}

func (w *bodyWriter) add(in *instruction) { w.segment = in.encode(w.segment) }

// end closes a block, or the function and the block around it.
func (w *bodyWriter) end() {
	if w.depth > 0 {
		w.finish(useLocal)
		w.emit(opEnd)
		w.depth--
		return
	}
	w.finish(useGlobal)
	w.emit(opReturn)
	w.emit(opEnd)
	w.emit(opUnreachable)
	w.emit(opEnd)
}

// relabel makes room for the block around the function: a branch that leaves
// the function leaves one block more. It reports useGlobal for such a branch.
func (w *bodyWriter) relabel(in *instruction) (leaves use) {
	move := func(label *uint32) {
		if int(*label) == w.depth {
			*label++
			leaves = useGlobal
		}
	}
	if in.op != opBrTable {
		move(&in.index)
		return leaves
	}
	for i := range in.labels {
		move(&in.labels[i])
	}
	return leaves
}
