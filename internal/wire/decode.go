package wire

import (
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"
	"unsafe"
)

// Unmarshal decodes what this program or an equal one wrote: the log,
// snapshots, journals. A field that the type does not have is an error, since
// skipping it would be guessing (R4).
func Unmarshal(b []byte, into any, options ...Option) error {
	return unmarshal(into, decoder{b: b, strict: true, shared: slices.Contains(options, Shared), reused: slices.Contains(options, Reused)})
}

// UnmarshalLax decodes what came over the network: fields that a newer peer
// sends and the type does not have are skipped.
func UnmarshalLax(b []byte, into any, options ...Option) error {
	return unmarshal(into, decoder{b: b, shared: slices.Contains(options, Shared), reused: slices.Contains(options, Reused)})
}

// Option changes how a value is made of bytes.
type Option uint8

// Shared saves copying: byte strings of the value share the memory that they
// are decoded from. Neither may be changed while the other is in use.
const Shared Option = 1

// Reused saves allocating: lists that the value has room for are made there. The
// lists of an earlier value that had the same room are gone then.
const Reused Option = 2

func unmarshal(into any, d decoder) error {
	x := reflect.ValueOf(into)
	if x.Kind() != reflect.Pointer || x.Type().Elem().Kind() != reflect.Struct || x.IsNil() {
		panic(fmt.Sprintf("wire: want a pointer to a struct, got %T", into))
	}
	t := x.Type().Elem()
	if f := d.value(shapeOf(t), x.UnsafePointer()); f != nil {
		return fmt.Errorf("%s: %w", t, f)
	}
	if d.pos != len(d.b) {
		return fmt.Errorf("%s: %w: %d bytes behind the value", t, ErrMalformed, len(d.b)-d.pos)
	}
	return nil
}

// decoder walks bytes beside the type they are meant for. Its own depth is
// bounded by the depth of the type, which no peer chooses; values that the type
// does not name are skipped without recursion.
type decoder struct {
	b      []byte
	pos    int
	strict bool
	shared bool
	reused bool
	memory uint64 // bytes that were allocated for lists so far
}

// maxGrowth bounds the memory of decoded lists by the bytes they came in. The
// densest honest list, of small numbers, takes half of it.
const maxGrowth = 16

// fault is the first thing that was wrong, and where. The path is put together
// on the way back, so that it costs nothing where nothing is wrong.
type fault struct {
	path string // to the value that was looked at
	at   int
	text string
}

func (f *fault) Error() string {
	path := f.path
	if path == "" {
		path = "value"
	}
	return fmt.Sprintf("%v: %s at byte %d: %s", ErrMalformed, path, f.at, f.text)
}

func (f *fault) Unwrap() error { return ErrMalformed }

func (f *fault) in(part string) *fault {
	f.path = part + f.path
	return f
}

func (d *decoder) fail(format string, args ...any) *fault {
	return &fault{at: d.pos, text: fmt.Sprintf(format, args...)}
}

// value decodes one value to p.
func (d *decoder) value(s *shape, p unsafe.Pointer) *fault {
	h, f := d.head()
	if f != nil {
		return f
	}
	if h.class == classNil {
		switch s.kind {
		case reflect.Pointer:
			*(*unsafe.Pointer)(p) = nil
		case reflect.Slice:
			*(*list)(p) = list{}
		default:
			return d.fail("nothing where a %s belongs", s.kind)
		}
		return nil
	}
	switch s.kind {
	case reflect.Pointer:
		d.pos = h.start
		v := reflect.New(s.elem.typ)
		*(*unsafe.Pointer)(p) = v.UnsafePointer()
		return d.value(s.elem, v.UnsafePointer())
	case reflect.Struct:
		return d.structure(s, h, p)
	case reflect.Slice:
		return d.slice(s, h, p)
	case reflect.Array:
		if h.class != classBytes || h.n != s.length {
			return d.fail("want %d bytes", s.length)
		}
		copy(unsafe.Slice((*byte)(p), s.length), d.take(h.n))
		return nil
	case reflect.String:
		return d.text(h, (*string)(p))
	case reflect.Bool:
		if h.class != classBool {
			return d.fail("want true or false")
		}
		*(*bool)(p) = h.n == 1
		return nil
	}
	return d.number(s, h, p)
}

// number stores a number where it fits.
func (d *decoder) number(s *shape, h head, p unsafe.Pointer) *fault {
	bits := 8 * s.typ.Size()
	signed := s.kind >= reflect.Int && s.kind <= reflect.Int64
	if !signed {
		if h.class != classInt || h.negative || bits < 64 && h.n>>bits != 0 {
			return d.fail("want an unsigned number of %d bits", bits)
		}
	} else {
		least, most := int64(-1)<<(bits-1), uint64(1)<<(bits-1)-1
		if h.class != classInt || h.negative && int64(h.n) < least || !h.negative && h.n > most {
			return d.fail("want a number of %d bits", bits)
		}
	}
	switch bits { // two's complement: the low bits are the number, signed or not
	case 8:
		*(*uint8)(p) = uint8(h.n)
	case 16:
		*(*uint16)(p) = uint16(h.n)
	case 32:
		*(*uint32)(p) = uint32(h.n)
	default:
		*(*uint64)(p) = h.n
	}
	return nil
}

// maxName bounds the name of a field, in bytes.
const maxName = 32

// maxUnknown is how many fields of a newer program are passed over: a message of
// a million of them would cost seconds.
const maxUnknown = 64

func (d *decoder) structure(s *shape, h head, p unsafe.Pointer) *fault {
	if h.class != classMap {
		return d.fail("want the fields of a %s", s.typ.Name())
	}
	if h.n > uint64(len(s.fields)+maxUnknown) {
		return d.fail("%d fields, at most %d are read", h.n, len(s.fields)+maxUnknown)
	}
	var seen uint64 // bit i: field i was met
	next := 0
	for range h.n {
		i := d.key(s, next)
		if i < 0 {
			k, f := d.head()
			if f != nil {
				return f
			}
			if k.class != classText || k.n > maxName {
				return d.fail("want the name of a field")
			}
			name := d.take(k.n)
			if i = s.named(name, next); i < 0 {
				if d.strict {
					return d.fail("the field %q is not known here; it was written by a newer program", name)
				}
				if f := d.skipAny(); f != nil {
					return f
				}
				continue
			}
		}
		if seen&(1<<i) != 0 {
			return d.fail("the field %q stands twice", s.fields[i].name)
		}
		seen |= 1 << i
		next = i + 1
		field := &s.fields[i]
		if at := unsafe.Add(p, field.offset); !d.plain(field.shape, at) {
			if f := d.value(field.shape, at); f != nil {
				return f.in("." + field.label)
			}
		}
	}
	return nil
}

func (d *decoder) slice(s *shape, h head, p unsafe.Pointer) *fault {
	if s.elem == nil {
		if h.class != classBytes {
			return d.fail("want bytes")
		}
		b := d.take(h.n)
		if d.shared {
			b = b[:len(b):len(b)]
		} else {
			b = append(make([]byte, 0, len(b)), b...)
		}
		*(*[]byte)(p) = b
		return nil
	}
	if h.class != classArray {
		return d.fail("want a list")
	}
	if h.n > uint64(len(d.b)-d.pos) {
		return d.fail("a list of %d, and %d bytes are left", h.n, len(d.b)-d.pos)
	}
	// An element of one byte on the wire can be a struct of hundreds in memory.
	d.memory += h.n * s.size
	if d.memory > maxGrowth*uint64(len(d.b))+1<<16 {
		return d.fail("its lists would take more than %d times its bytes in memory", maxGrowth)
	}
	made := d.room(s, int(h.n), p)
	for i := range h.n {
		if at := unsafe.Add(made, uintptr(i*s.size)); !d.plain(s.elem, at) {
			if f := d.value(s.elem, at); f != nil {
				return f.in("[]")
			}
		}
	}
	return nil
}

// room makes the list at p one of n zero elements, and returns where they are.
func (d *decoder) room(s *shape, n int, p unsafe.Pointer) unsafe.Pointer {
	v := reflect.NewAt(s.typ, p).Elem()
	switch {
	case n == 0: // which is not the same as no list
		v.Set(reflect.MakeSlice(s.typ, 0, 0))
	case d.reused && v.Cap() >= n:
		v.SetLen(n)
		v.Clear()
	default: // MakeSlice would allocate a header, too
		v.SetZero()
		v.Grow(n)
		v.SetLen(n)
		v.SetCap(n) // who appends to it gets memory of his own
	}
	return v.UnsafePointer()
}

func (d *decoder) text(h head, into *string) *fault {
	if h.class != classText {
		return d.fail("want text")
	}
	b := d.take(h.n)
	if !utf8.Valid(b) {
		return d.fail("want text in UTF-8")
	}
	*into = string(b)
	return nil
}

// take passes over bytes that head has found to be there.
func (d *decoder) take(n uint64) []byte {
	b := d.b[d.pos : d.pos+int(n)]
	d.pos += int(n)
	return b
}
