package wasm

func (w *bodyWriter) emit(op opcode) { w.out = append(w.out, byte(op)) }

func (w *bodyWriter) emitIndex(op opcode, index uint32) {
	w.out = appendU32(append(w.out, byte(op)), index)
}

func (w *bodyWriter) emitI64(number int64) {
	w.out = appendSigned(append(w.out, byte(opI64Const)), number)
}

// finish writes the segment that was read, behind the code that charges for
// it, and begins the next one.
func (w *bodyWriter) finish(u use) {
	w.charge(u)
	w.out = append(w.out, w.segment...)
	w.segment, w.cost = w.segment[:0], 0
	w.stale, w.check, w.inside = false, false, w.depth
}

// charge brings the count to where it is at the end of the segment, in the
// local, in the global, or in both, as its use demands. Where the limit is
// compared both are right, so that a trap finds the count exact.
func (w *bodyWriter) charge(u use) {
	if w.check {
		u |= useLocal | useGlobal
	}
	toLocal := u&useLocal != 0 && (w.stale || w.cost > 0)
	toGlobal := u&useGlobal != 0 && (!w.stale || w.cost > 0)
	if toLocal || toGlobal {
		if w.stale {
			w.emitIndex(opGlobalGet, w.count)
		} else {
			w.emitIndex(opLocalGet, w.local)
		}
		if w.cost > 0 {
			w.emitI64(w.cost)
			w.emit(opI64Add)
		}
		switch {
		case toLocal && toGlobal:
			w.emitIndex(opLocalTee, w.local)
			w.emitIndex(opGlobalSet, w.count)
		case toLocal:
			w.emitIndex(opLocalSet, w.local)
		default:
			w.emitIndex(opGlobalSet, w.count)
		}
	}
	if w.check {
		w.compare(w.inside)
	}
}

// compare leaves the function when the count in the local is over the limit.
func (w *bodyWriter) compare(depth int) {
	w.emitIndex(opLocalGet, w.local)
	w.emitIndex(opGlobalGet, w.limit)
	w.emit(opI64GtU)
	w.emitIndex(opBrIf, uint32(depth))
}

// chargeLength writes an instruction behind a charge for the number that it
// finds on top of the stack, and compares the limit before it is executed.
func (w *bodyWriter) chargeLength(in *instruction, shift int64) {
	w.finish(useLocal)
	w.scratch = true
	w.emitIndex(opLocalTee, w.length)
	w.emitIndex(opLocalGet, w.length)
	w.emit(opI64ExtendU)
	if shift > 0 {
		w.emitI64(shift)
		w.emit(opI64ShrU)
	}
	w.emitIndex(opLocalGet, w.local)
	w.emit(opI64Add)
	w.emitIndex(opLocalTee, w.local)
	w.emitIndex(opGlobalSet, w.count)
	w.compare(w.depth)
	w.out = in.encode(w.out)
}

// chargeGrowth charges for what a grow instruction added, once it is known:
// the number on top of the stack before it, or nothing where it left -1.
func (w *bodyWriter) chargeGrowth(in *instruction, weight int64) {
	w.finish(useLocal)
	w.scratch = true
	w.emitIndex(opLocalTee, w.length)
	w.out = in.encode(w.out)
	w.emitIndex(opLocalTee, w.added)
	w.emitI64(0)
	w.emitIndex(opLocalGet, w.length)
	w.emit(opI64ExtendU)
	w.emitI64(weight)
	w.emit(opI64Mul)
	w.emitIndex(opLocalGet, w.added)
	w.out = appendSigned(append(w.out, byte(opI32Const)), -1)
	w.emit(opI32Eq)
	w.emit(opSelect)
	w.emitIndex(opLocalGet, w.local)
	w.emit(opI64Add)
	w.emitIndex(opLocalSet, w.local)
}
