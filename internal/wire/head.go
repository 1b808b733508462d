package wire

import "encoding/binary"

// class is what kind of value begins at a byte.
type class uint8

const (
	classNil class = iota
	classBool
	classInt
	classText
	classBytes
	classArray
	classMap
	classOther // floats and extensions: nothing here is made of them
)

// head is the beginning of one value. n is the number itself (two's
// complement when negative), or the length in bytes, elements or pairs.
// Bytes of text, byte strings and others are known to be there.
type head struct {
	start    int
	class    class
	n        uint64
	negative bool
}

func (d *decoder) head() (head, *fault) {
	h := head{start: d.pos}
	if d.pos >= len(d.b) {
		return h, d.fail("the bytes end here")
	}
	code := d.b[d.pos]
	d.pos++
	switch {
	case code <= 0x7f:
		h.class, h.n = classInt, uint64(code)
	case code >= 0xe0:
		h.class, h.n, h.negative = classInt, uint64(int64(int8(code))), true
	case code <= 0x8f:
		h.class, h.n = classMap, uint64(code&0x0f)
	case code <= 0x9f:
		h.class, h.n = classArray, uint64(code&0x0f)
	case code <= 0xbf:
		h.class, h.n = classText, uint64(code&0x1f)
	default:
		f := forms[code-firstForm]
		if f == (form{}) {
			return h, d.fail("code %#x is not used", code)
		}
		if len(d.b)-d.pos < f.width {
			return h, d.fail("the bytes end here")
		}
		h.class, h.n = f.class, f.fixed
		if f.width > 0 {
			h.n += d.wide(f.width)
		}
		if f.signed {
			shift := 64 - 8*f.width
			v := int64(h.n<<shift) >> shift
			h.n, h.negative = uint64(v), v < 0
		}
	}
	if (h.class == classText || h.class == classBytes || h.class == classOther) && h.n > uint64(len(d.b)-d.pos) {
		return h, d.fail("%d bytes are announced, %d are left", h.n, len(d.b)-d.pos)
	}
	return h, nil
}

func (d *decoder) wide(width int) uint64 {
	b := d.b[d.pos : d.pos+width]
	d.pos += width
	switch width {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return binary.BigEndian.Uint64(b)
}

// skip passes over the content of a value without elements.
func (d *decoder) skip(h head) {
	if h.class == classText || h.class == classBytes || h.class == classOther {
		d.pos += int(h.n)
	}
}

// maxSkipDepth bounds what an unknown field may contain.
const maxSkipDepth = 16

// skipAny passes over one whole value of unknown type.
func (d *decoder) skipAny() *fault {
	var left [maxSkipDepth + 1]uint64
	left[0] = 1
	for depth := 0; depth >= 0; {
		if left[depth] == 0 {
			depth--
			continue
		}
		left[depth]--
		h, f := d.head()
		if f != nil {
			return f
		}
		n := h.n
		switch h.class {
		case classMap:
			n *= 2
		case classArray:
		default:
			d.skip(h)
			continue
		}
		if depth == maxSkipDepth || n > uint64(len(d.b)-d.pos) {
			return d.fail("an unknown field is too deep or too long")
		}
		depth++
		left[depth] = n
	}
	return nil
}

// form is how a value that begins with a code of 0xc0 to 0xdf goes on: width
// bytes of number or length, to which fixed is added.
type form struct {
	class  class
	width  int
	fixed  uint64
	signed bool
}

// firstForm is the first code that forms describes.
const firstForm = 0xc0

var forms = [32]form{
	0xc0 - firstForm: {class: classNil, fixed: 1}, // fixed only tells it from an unused code
	0xc2 - firstForm: {class: classBool}, 0xc3 - firstForm: {class: classBool, fixed: 1},
	0xc4 - firstForm: {class: classBytes, width: 1}, 0xc5 - firstForm: {class: classBytes, width: 2}, 0xc6 - firstForm: {class: classBytes, width: 4},
	0xc7 - firstForm: {class: classOther, width: 1, fixed: 1}, 0xc8 - firstForm: {class: classOther, width: 2, fixed: 1}, 0xc9 - firstForm: {class: classOther, width: 4, fixed: 1},
	0xca - firstForm: {class: classOther, fixed: 4}, 0xcb - firstForm: {class: classOther, fixed: 8},
	0xcc - firstForm: {class: classInt, width: 1}, 0xcd - firstForm: {class: classInt, width: 2}, 0xce - firstForm: {class: classInt, width: 4}, 0xcf - firstForm: {class: classInt, width: 8},
	0xd0 - firstForm: {class: classInt, width: 1, signed: true}, 0xd1 - firstForm: {class: classInt, width: 2, signed: true},
	0xd2 - firstForm: {class: classInt, width: 4, signed: true}, 0xd3 - firstForm: {class: classInt, width: 8, signed: true},
	0xd4 - firstForm: {class: classOther, fixed: 2}, 0xd5 - firstForm: {class: classOther, fixed: 3}, 0xd6 - firstForm: {class: classOther, fixed: 5},
	0xd7 - firstForm: {class: classOther, fixed: 9}, 0xd8 - firstForm: {class: classOther, fixed: 17},
	0xd9 - firstForm: {class: classText, width: 1}, 0xda - firstForm: {class: classText, width: 2}, 0xdb - firstForm: {class: classText, width: 4},
	0xdc - firstForm: {class: classArray, width: 2}, 0xdd - firstForm: {class: classArray, width: 4},
	0xde - firstForm: {class: classMap, width: 2}, 0xdf - firstForm: {class: classMap, width: 4},
}
