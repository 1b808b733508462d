package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"
)

// check walks b beside the type t and reports the first thing that the
// decoder must not see. Its own depth is bounded by the depth of t, which no
// peer chooses; values that t does not name are skipped without recursion.
func check(b []byte, t reflect.Type, strict bool) error {
	c := checker{b: b, strict: strict}
	if err := c.value(shapeOf(t)); err != nil {
		return err
	}
	if c.pos != len(b) {
		return fmt.Errorf("%w: %d bytes behind the value", ErrMalformed, len(b)-c.pos)
	}
	return nil
}

type checker struct {
	b      []byte
	pos    int
	strict bool
	memory uint64   // bytes that the decoder will allocate for the lists so far
	path   []string // to the value that is being looked at, for messages
	room   [8]string
}

// maxGrowth bounds the memory of decoded lists by the bytes they came in. The
// densest honest list, of small numbers, takes half of it.
const maxGrowth = 16

func (c *checker) fail(format string, args ...any) error {
	path := "value"
	if len(c.path) > 0 {
		path = strings.Join(c.path, "")
	}
	return fmt.Errorf("%w: %s at byte %d: %s", ErrMalformed, path, c.pos, fmt.Sprintf(format, args...))
}

// below looks at a part of a value.
func (c *checker) below(dot, name string, s *shape) error {
	if c.path == nil {
		c.path = c.room[:0]
	}
	c.path = append(c.path, dot, name)
	err := c.value(s)
	c.path = c.path[:len(c.path)-2]
	return err
}

func (c *checker) value(s *shape) error {
	h, err := c.head()
	if err != nil {
		return err
	}
	if h.class == classNil {
		if s.kind == reflect.Pointer || s.kind == reflect.Slice {
			return nil
		}
		return c.fail("nothing where a %s belongs", s.kind)
	}
	if s.binary {
		if h.class != classBytes || s.kind != reflect.Array || h.n != s.length {
			return c.fail("want %d bytes", s.length)
		}
		c.skip(h)
		return nil
	}
	switch s.kind {
	case reflect.Pointer:
		c.pos = h.start
		return c.value(s.elem)
	case reflect.Struct:
		return c.structure(s, h)
	case reflect.Slice:
		return c.slice(s, h)
	case reflect.String:
		return c.text(h)
	case reflect.Bool:
		if h.class != classBool {
			return c.fail("want true or false")
		}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		if h.class != classInt || h.negative || s.typ.OverflowUint(h.n) {
			return c.fail("want an unsigned number of %d bits", s.typ.Bits())
		}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		fits := h.negative && !s.typ.OverflowInt(int64(h.n)) || !h.negative && h.n <= math.MaxInt64 && !s.typ.OverflowInt(int64(h.n))
		if h.class != classInt || !fits {
			return c.fail("want a number of %d bits", s.typ.Bits())
		}
	default:
		panic(fmt.Sprintf("wire: %s: type %s has no place on the wire", strings.Join(c.path, ""), s.typ))
	}
	return nil
}

// maxUnknown is how many fields of a newer program are passed over: a message of
// a million of them would cost seconds.
const maxUnknown = 64

func (c *checker) structure(s *shape, h head) error {
	if h.class != classMap {
		return c.fail("want the fields of a %s", s.typ.Name())
	}
	if h.n > uint64(len(s.fields)+maxUnknown) {
		return c.fail("%d fields, at most %d are read", h.n, len(s.fields)+maxUnknown)
	}
	var seen uint64 // bit i: field i was met
	next := 0
	for range h.n {
		k, err := c.head()
		if err != nil {
			return err
		}
		if k.class != classText || k.n > 32 {
			return c.fail("want the name of a field")
		}
		name := c.b[c.pos : c.pos+int(k.n)]
		c.pos += int(k.n)
		i := s.named(name, next)
		if i < 0 {
			if c.strict {
				return c.fail("the field %q is not known here; it was written by a newer program", name)
			}
			if err := c.skipAny(); err != nil {
				return err
			}
			continue
		}
		if seen&(1<<i) != 0 {
			return c.fail("the field %q stands twice", name)
		}
		seen |= 1 << i
		next = (i + 1) % len(s.fields)
		if err := c.below(".", s.fields[i].label, s.fields[i].shape); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) slice(s *shape, h head) error {
	if s.elem == nil {
		if h.class != classBytes {
			return c.fail("want bytes")
		}
		c.skip(h)
		return nil
	}
	if h.class != classArray {
		return c.fail("want a list")
	}
	if h.n > uint64(len(c.b)-c.pos) {
		return c.fail("a list of %d, and %d bytes are left", h.n, len(c.b)-c.pos)
	}
	// An element of one byte on the wire can be a struct of hundreds in memory.
	c.memory += h.n * s.size
	if c.memory > maxGrowth*uint64(len(c.b))+1<<16 {
		return c.fail("its lists would take more than %d times its bytes in memory", maxGrowth)
	}
	for range h.n {
		if err := c.below("[]", "", s.elem); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) text(h head) error {
	if h.class != classText {
		return c.fail("want text")
	}
	if !utf8.Valid(c.b[c.pos : c.pos+int(h.n)]) {
		return c.fail("want text in UTF-8")
	}
	c.pos += int(h.n)
	return nil
}

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

func (c *checker) head() (head, error) {
	h := head{start: c.pos}
	if c.pos >= len(c.b) {
		return h, c.fail("the bytes end here")
	}
	code := c.b[c.pos]
	c.pos++
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
			return h, c.fail("code %#x is not used", code)
		}
		if len(c.b)-c.pos < f.width {
			return h, c.fail("the bytes end here")
		}
		h.class, h.n = f.class, f.fixed
		if f.width > 0 {
			h.n += c.number(f.width)
		}
		if f.signed {
			shift := 64 - 8*f.width
			v := int64(h.n<<shift) >> shift
			h.n, h.negative = uint64(v), v < 0
		}
	}
	if (h.class == classText || h.class == classBytes || h.class == classOther) && h.n > uint64(len(c.b)-c.pos) {
		return h, c.fail("%d bytes are announced, %d are left", h.n, len(c.b)-c.pos)
	}
	return h, nil
}

func (c *checker) number(width int) uint64 {
	b := c.b[c.pos : c.pos+width]
	c.pos += width
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
func (c *checker) skip(h head) {
	if h.class == classText || h.class == classBytes || h.class == classOther {
		c.pos += int(h.n)
	}
}

// maxSkipDepth bounds what an unknown field may contain.
const maxSkipDepth = 16

// skipAny passes over one whole value of unknown type.
func (c *checker) skipAny() error {
	var left [maxSkipDepth + 1]uint64
	left[0] = 1
	for depth := 0; depth >= 0; {
		if left[depth] == 0 {
			depth--
			continue
		}
		left[depth]--
		h, err := c.head()
		if err != nil {
			return err
		}
		n := h.n
		switch h.class {
		case classMap:
			n *= 2
		case classArray:
		default:
			c.skip(h)
			continue
		}
		if depth == maxSkipDepth || n > uint64(len(c.b)-c.pos) {
			return c.fail("an unknown field is too deep or too long")
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
