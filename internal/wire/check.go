package wire

import (
	"encoding"
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
	if err := c.value(t, ""); err != nil {
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
	memory uint64 // bytes that the decoder will allocate for the lists so far
}

// maxGrowth bounds the memory of decoded lists by the bytes they came in. The
// densest honest list, of small numbers, takes half of it.
const maxGrowth = 16

func (c *checker) fail(path, format string, args ...any) error {
	if path == "" {
		path = "value"
	}
	return fmt.Errorf("%w: %s at byte %d: %s", ErrMalformed, path, c.pos, fmt.Sprintf(format, args...))
}

var binaryUnmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()

func (c *checker) value(t reflect.Type, path string) error {
	h, err := c.head(path)
	if err != nil {
		return err
	}
	if h.class == classNil {
		if k := t.Kind(); k == reflect.Pointer || k == reflect.Slice {
			return nil
		}
		return c.fail(path, "nothing where a %s belongs", t.Kind())
	}
	if reflect.PointerTo(t).Implements(binaryUnmarshaler) {
		if h.class != classBytes || t.Kind() != reflect.Array || h.n != uint64(t.Len()) {
			return c.fail(path, "want %d bytes", t.Len())
		}
		c.skip(h)
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		c.pos = h.start
		return c.value(t.Elem(), path)
	case reflect.Struct:
		return c.structure(t, h, path)
	case reflect.Slice:
		return c.slice(t, h, path)
	case reflect.String:
		return c.text(h, path)
	case reflect.Bool:
		if h.class != classBool {
			return c.fail(path, "want true or false")
		}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		if h.class != classInt || h.negative || t.OverflowUint(h.n) {
			return c.fail(path, "want an unsigned number of %d bits", t.Bits())
		}
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		fits := h.negative && !t.OverflowInt(int64(h.n)) || !h.negative && h.n <= math.MaxInt64 && !t.OverflowInt(int64(h.n))
		if h.class != classInt || !fits {
			return c.fail(path, "want a number of %d bits", t.Bits())
		}
	default:
		panic(fmt.Sprintf("wire: %s: type %s has no place on the wire", path, t))
	}
	return nil
}

// maxUnknown is how many fields of a newer program are passed over: a message of
// a million of them would cost seconds.
const maxUnknown = 64

func (c *checker) structure(t reflect.Type, h head, path string) error {
	if h.class != classMap {
		return c.fail(path, "want the fields of a %s", t.Name())
	}
	if h.n > uint64(t.NumField()+maxUnknown) {
		return c.fail(path, "%d fields, at most %d are read", h.n, t.NumField()+maxUnknown)
	}
	var seen uint64 // bit i: field i was met; no type here has more than 64 fields
	for range h.n {
		k, err := c.head(path)
		if err != nil {
			return err
		}
		if k.class != classText || k.n > 32 {
			return c.fail(path, "want the name of a field")
		}
		name := string(c.b[c.pos : c.pos+int(k.n)])
		c.pos += int(k.n)
		i := fieldNamed(t, name)
		if i < 0 {
			if c.strict {
				return c.fail(path, "the field %q is not known here; it was written by a newer program", name)
			}
			if err := c.skipAny(path); err != nil {
				return err
			}
			continue
		}
		if seen&(1<<i) != 0 {
			return c.fail(path, "the field %q stands twice", name)
		}
		seen |= 1 << i
		if err := c.value(t.Field(i).Type, path+"."+t.Field(i).Name); err != nil {
			return err
		}
	}
	return nil
}

func fieldNamed(t reflect.Type, name string) int {
	for i := range t.NumField() {
		tag := t.Field(i).Tag.Get("msgpack")
		if tagName, _, _ := strings.Cut(tag, ","); tagName == name && name != "-" && name != "" {
			return i
		}
	}
	return -1
}

func (c *checker) slice(t reflect.Type, h head, path string) error {
	if t.Elem().Kind() == reflect.Uint8 {
		if h.class != classBytes {
			return c.fail(path, "want bytes")
		}
		c.skip(h)
		return nil
	}
	if h.class != classArray {
		return c.fail(path, "want a list")
	}
	if h.n > uint64(len(c.b)-c.pos) {
		return c.fail(path, "a list of %d, and %d bytes are left", h.n, len(c.b)-c.pos)
	}
	// An element of one byte on the wire can be a struct of hundreds in memory.
	c.memory += h.n * uint64(t.Elem().Size())
	if c.memory > maxGrowth*uint64(len(c.b))+1<<16 {
		return c.fail(path, "its lists would take more than %d times its bytes in memory", maxGrowth)
	}
	for range h.n {
		if err := c.value(t.Elem(), path+"[]"); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) text(h head, path string) error {
	if h.class != classText {
		return c.fail(path, "want text")
	}
	if !utf8.Valid(c.b[c.pos : c.pos+int(h.n)]) {
		return c.fail(path, "want text in UTF-8")
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

func (c *checker) head(path string) (head, error) {
	h := head{start: c.pos}
	if c.pos >= len(c.b) {
		return h, c.fail(path, "the bytes end here")
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
			return h, c.fail(path, "code %#x is not used", code)
		}
		if len(c.b)-c.pos < f.width {
			return h, c.fail(path, "the bytes end here")
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
		return h, c.fail(path, "%d bytes are announced, %d are left", h.n, len(c.b)-c.pos)
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
func (c *checker) skipAny(path string) error {
	var left [maxSkipDepth + 1]uint64
	left[0] = 1
	for depth := 0; depth >= 0; {
		if left[depth] == 0 {
			depth--
			continue
		}
		left[depth]--
		h, err := c.head(path)
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
			return c.fail(path, "an unknown field is too deep or too long")
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
