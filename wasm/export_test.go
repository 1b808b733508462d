package wasm

// CountSlowly is the obvious meter, to compare the real one with: before each
// instruction it adds what the package comment says that the instruction costs
// to a global, and behind memory.grow and table.grow what was added. It shares
// nothing with the real one but the reading of instructions.
func CountSlowly(module []byte) ([]byte, error) {
	m, err := read(module)
	if err != nil {
		return nil, err
	}
	if err := m.validateCode(); err != nil {
		return nil, err
	}
	code := appendU32(nil, uint32(len(m.bodies)))
	for i, b := range m.bodies {
		scratch := b.count + uint32(len(m.typeOf(m.importedFunctions+i).Params))
		body := appendU32(nil, uint32(len(b.locals)+1))
		for _, g := range b.locals {
			body = append(appendU32(body, g.count), byte(g.typ))
		}
		body = append(body, 2, byte(I32))
		var in instruction
		for r := (reader{module: module, at: b.from, end: b.to}); r.at < r.end; {
			in.decode(&r)
			body = m.countOne(body, &in, scratch)
		}
		code = appendU32(code, uint32(len(body)))
		code = append(code, body...)
	}
	out := append([]byte(nil), module[:8]...)
	done := map[byte]bool{}
	for _, id := range []byte{1, 2, 3, 4, 5, 6, 7, 9, 12, 10, 11} {
		content, there := m.content(id)
		switch id {
		case 6:
			content, there = m.meterGlobals(content), true
		case 7:
			content, there = m.meterExports(content), true
		case 10:
			content = code
		}
		if there && !done[id] {
			out = appendSection(out, id, content)
		}
		done[id] = true
	}
	return out, nil
}

func (m *module) countOne(b []byte, in *instruction, scratch uint32) []byte {
	number, result := appendU32(nil, scratch), appendU32(nil, scratch+1)
	add := func(value ...byte) { // value leaves an i64
		b = append(appendU32(append(b, byte(opGlobalGet)), m.countGlobal()), value...)
		b = appendU32(append(b, byte(opI64Add), byte(opGlobalSet)), m.countGlobal())
	}
	length := func(divisor byte) {
		b = append(append(b, byte(opLocalTee)), number...)
		add(append(append([]byte{byte(opLocalGet)}, number...), byte(opI64ExtendU), byte(opI64Const), divisor, 0x80 /* div_u */)...)
	}
	growth := func(weight int64) {
		b = append(append(b, byte(opLocalTee)), number...)
		b = in.encode(b)
		b = append(append(b, byte(opLocalTee)), result...)
		b = append(append(append(b, byte(opLocalGet)), result...), byte(opI32Const), 0x7f, 0x47 /* ne */, byte(opIf), 0x40)
		add(append(appendSigned(append(append([]byte{byte(opLocalGet)}, number...), byte(opI64ExtendU), byte(opI64Const)), weight), byte(opI64Mul))...)
		b = append(b, byte(opEnd))
	}
	switch in.op {
	case 0x00, 0x01, 0x02, 0x03, 0x05, 0x0b, 0x0f, 0x1a:
		return in.encode(b)
	}
	add(byte(opI64Const), 1)
	switch in.op {
	case 0xfc08, 0xfc0a, 0xfc0b:
		length(8)
	case 0xfc0c, 0xfc0e, 0xfc11:
		length(1)
	case 0x40:
		growth(8192)
		return b
	case 0xfc0f:
		growth(1)
		return b
	}
	return in.encode(b)
}

// TablesWithin reports whether no table of a valid module is or grows larger.
func TablesWithin(module []byte, most uint32) bool {
	m, err := read(module)
	return err == nil && m.validateCode() == nil && m.checkTables(most) == nil
}
