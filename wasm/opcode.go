package wasm

// opcode names an instruction. Those behind a prefix have it in the upper
// byte: memory.copy is 0xfc0a.
type opcode uint16

const (
	opUnreachable  opcode = 0x00
	opNop          opcode = 0x01
	opBlock        opcode = 0x02
	opLoop         opcode = 0x03
	opIf           opcode = 0x04
	opElse         opcode = 0x05
	opEnd          opcode = 0x0b
	opBr           opcode = 0x0c
	opBrIf         opcode = 0x0d
	opBrTable      opcode = 0x0e
	opReturn       opcode = 0x0f
	opCall         opcode = 0x10
	opCallIndirect opcode = 0x11
	opDrop         opcode = 0x1a
	opSelect       opcode = 0x1b
	opSelectTyped  opcode = 0x1c
	opLocalGet     opcode = 0x20
	opLocalSet     opcode = 0x21
	opLocalTee     opcode = 0x22
	opGlobalGet    opcode = 0x23
	opGlobalSet    opcode = 0x24
	opTableGet     opcode = 0x25
	opTableSet     opcode = 0x26
	opMemorySize   opcode = 0x3f
	opMemoryGrow   opcode = 0x40
	opI32Const     opcode = 0x41
	opI64Const     opcode = 0x42
	opF32Const     opcode = 0x43
	opF64Const     opcode = 0x44
	opI32Eq        opcode = 0x46
	opI64GtU       opcode = 0x56
	opI64Add       opcode = 0x7c
	opI64Mul       opcode = 0x7e
	opI64ShrU      opcode = 0x88
	opI64ExtendU   opcode = 0xad
	opRefNull      opcode = 0xd0
	opRefIsNull    opcode = 0xd1
	opRefFunc      opcode = 0xd2

	opMemoryInit opcode = 0xfc08
	opDataDrop   opcode = 0xfc09
	opMemoryCopy opcode = 0xfc0a
	opMemoryFill opcode = 0xfc0b
	opTableInit  opcode = 0xfc0c
	opElemDrop   opcode = 0xfc0d
	opTableCopy  opcode = 0xfc0e
	opTableGrow  opcode = 0xfc0f
	opTableSize  opcode = 0xfc10
	opTableFill  opcode = 0xfc11

	opV128Const opcode = 0xfd0c
	opShuffle   opcode = 0xfd0d

	prefixBulk   = 0xfc
	prefixVector = 0xfd
)

// immediate is how what follows an opcode is encoded.
type immediate uint8

const (
	immUnknown    immediate = iota // no such instruction
	immNone                        // nothing
	immBlock                       // the type of a block
	immIndex                       // one index or label
	immTwo                         // two indices
	immLabels                      // labels and a default
	immMemory                      // alignment and offset
	immMemoryLane                  // alignment, offset and a lane
	immLane                        // a lane
	immI32                         // a signed number
	immI64                         // a signed number
	immBytes4                      // 4 bytes of a float
	immBytes8                      // 8 bytes of a float
	immBytes16                     // 16 bytes of a vector, or 16 lanes
	immReference                   // the type of a reference
	immTypes                       // a list of types of values
	immZero                        // one zero byte, for the only memory
	immIndexZero                   // an index and one zero byte
	immZeroZero                    // two zero bytes
)

// instruction is one instruction with its immediates. A decoder fills it again
// and again; labels is reused.
type instruction struct {
	op     opcode
	index  uint32    // the index, label, alignment's exponent or block's type
	second uint32    // the second index, or a memory access's offset
	lane   byte      // of a vector
	typ    ValueType // of a reference, of select, or of a block's single result
	number int64     // of a constant
	bits   []byte    // of a float, a vector or a shuffle; part of the module
	labels []uint32  // of br_table, the default last
}

// Block types that are no index into the module's types, in instruction.index.
const (
	blockEmpty  uint32 = 1<<32 - 1 // takes nothing, leaves nothing
	blockResult uint32 = 1<<32 - 2 // takes nothing, leaves one value of instruction.typ
)

// decode reads the next instruction. What it accepts is exactly the accepted
// version of WebAssembly; everything else is refused by name where its name
// helps the author.
func (in *instruction) decode(r *reader) {
	at := r.at
	in.op = opcode(r.byte())
	if in.op == prefixBulk || in.op == prefixVector {
		sub := r.u32()
		if sub > 0xff {
			r.fail(refuseInstruction(byte(in.op), sub, at))
			return
		}
		in.op = in.op<<8 | opcode(sub)
	}
	shape := in.op.shape()
	switch shape.imm {
	case immNone:
	case immUnknown:
		if r.err == nil {
			r.fail(refuseInstruction(byte(in.op>>8), uint32(in.op&0xff), at))
		}
	case immBlock:
		in.decodeBlockType(r)
	case immIndex:
		in.index = r.u32()
	case immTwo:
		in.index, in.second = r.u32(), r.u32()
	case immLabels:
		in.decodeLabels(r)
	case immMemory, immMemoryLane:
		in.decodeAccess(r, shape)
	case immLane:
		in.decodeLane(r, shape)
	case immI32:
		in.number = r.signed(32)
	case immI64:
		in.number = r.signed(64)
	case immBytes4:
		in.bits = r.bytes(4)
	case immBytes8:
		in.bits = r.bytes(8)
	case immBytes16:
		in.bits = r.bytes(16)
	case immReference:
		in.typ = r.referenceType()
	case immTypes:
		if n := r.u32(); r.err == nil && n != 1 {
			r.invalid("select names %d types, want one", n)
		}
		in.typ = r.valueType()
	case immIndexZero:
		in.index = r.u32()
		r.zero()
	case immZeroZero:
		r.zero()
		r.zero()
	case immZero:
		r.zero()
	}
}

// zero reads the index of the only memory there can be.
func (r *reader) zero() {
	if b := r.byte(); b != 0 && r.err == nil {
		r.fail(unsupported("uses more than one memory: build without -mmultimemory (multi-memory)"))
	}
}

func (in *instruction) decodeBlockType(r *reader) {
	if r.at >= r.end {
		r.byte() // sets the error
		return
	}
	switch b := r.module[r.at]; {
	case b == 0x40:
		r.at++
		in.index = blockEmpty
	case b > 0x40 && b < 0x80:
		in.index, in.typ = blockResult, r.valueType()
	default:
		n := r.signed(33)
		if n < 0 || n >= int64(blockResult) {
			r.invalid("a block has no such type")
		}
		in.index = uint32(n)
	}
}

func (in *instruction) decodeLabels(r *reader) {
	n := r.count("labels of one br_table", maxLabels)
	in.labels = in.labels[:0]
	for range n + 1 {
		in.labels = append(in.labels, r.u32())
	}
}

func (in *instruction) decodeAccess(r *reader, s *shape) {
	in.index = r.u32()
	if in.index >= 64 && in.index < 128 {
		r.fail(unsupported("uses more than one memory: build without -mmultimemory (multi-memory)"))
	}
	if in.index > uint32(s.align) {
		r.invalid("a memory access is aligned to more than its size")
	}
	in.second = r.u32()
	if s.imm == immMemoryLane {
		in.decodeLane(r, s)
	}
}

func (in *instruction) decodeLane(r *reader, s *shape) {
	in.lane = r.byte()
	if r.err == nil && in.lane >= s.lanes {
		r.invalid("a vector of %d lanes has no lane %d", s.lanes, in.lane)
	}
}

// encode appends the instruction in its shortest form, whatever form it was
// read in: linkers pad numbers to five bytes.
func (in *instruction) encode(b []byte) []byte {
	if in.op > 0xff {
		b = appendU32(append(b, byte(in.op>>8)), uint32(in.op&0xff))
	} else {
		b = append(b, byte(in.op))
	}
	switch shape := in.op.shape(); shape.imm {
	case immBlock:
		return in.encodeBlockType(b)
	case immIndex:
		return appendU32(b, in.index)
	case immTwo:
		return appendU32(appendU32(b, in.index), in.second)
	case immLabels:
		b = appendU32(b, uint32(len(in.labels)-1))
		for _, l := range in.labels {
			b = appendU32(b, l)
		}
		return b
	case immMemory:
		return appendU32(appendU32(b, in.index), in.second)
	case immMemoryLane:
		return append(appendU32(appendU32(b, in.index), in.second), in.lane)
	case immLane:
		return append(b, in.lane)
	case immI32, immI64:
		return appendSigned(b, in.number)
	case immBytes4, immBytes8, immBytes16:
		return append(b, in.bits...)
	case immReference:
		return append(b, byte(in.typ))
	case immTypes:
		return append(b, 1, byte(in.typ))
	case immIndexZero:
		return append(appendU32(b, in.index), 0)
	case immZeroZero:
		return append(b, 0, 0)
	case immZero:
		return append(b, 0)
	}
	return b
}

func (in *instruction) encodeBlockType(b []byte) []byte {
	switch in.index {
	case blockEmpty:
		return append(b, 0x40)
	case blockResult:
		return append(b, byte(in.typ))
	}
	return appendSigned(b, int64(in.index))
}
