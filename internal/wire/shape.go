package wire

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unsafe"
)

// shape is what the codec knows of a type.
type shape struct {
	typ    reflect.Type
	kind   reflect.Kind
	length uint64 // of an array, in bytes
	elem   *shape // of a pointer or a slice; nil for bytes
	size   uint64 // of an element, in memory
	most   uint64 // of an unsigned number; else 0
	fields []field
}

// field is one that goes onto the wire.
type field struct {
	name   string // on the wire
	label  string // in the program
	key    []byte // the name as it stands in front of the value
	short  uint16 // its first two bytes, which are all of a name of one letter
	offset uintptr
	omit   func(p unsafe.Pointer) bool // says that the value is left out; nil: never
	shape  *shape
}

// shapes remembers the shapes of types that were met. What is in it never
// changes: it saves looking at the same type again for each value.
var shapes sync.Map // of reflect.Type to *shape

var binaryUnmarshaler = reflect.TypeFor[encoding.BinaryUnmarshaler]()

func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s, _ := shapes.LoadOrStore(t, newShape(t))
	return s.(*shape)
}

// newShape panics on a type that has no place on the wire: that is a mistake in
// this program, found by the first test that touches the type.
func newShape(t reflect.Type) *shape {
	s := &shape{typ: t, kind: t.Kind()}
	switch s.kind {
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		s.most = 1<<t.Bits() - 1
		return s
	case reflect.Bool, reflect.String,
		reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		return s
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && reflect.PointerTo(t).Implements(binaryUnmarshaler) {
			s.length = uint64(t.Len())
			return s
		}
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			s.elem, s.size = shapeOf(t.Elem()), uint64(t.Elem().Size())
		}
		return s
	case reflect.Pointer:
		s.elem = shapeOf(t.Elem())
		return s
	case reflect.Struct:
		s.fields = fieldsOf(t)
		return s
	}
	panic(fmt.Sprintf("wire: type %s has no place on the wire", t))
}

func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("msgpack"), ",")
		if name == "" || name == "-" {
			continue
		}
		if len(name) > maxName {
			panic(fmt.Sprintf("wire: %s.%s: the name %q is too long", t, f.Name, name))
		}
		x := field{name: name, label: f.Name, key: appendText(nil, name), offset: f.Offset, shape: shapeOf(f.Type)}
		x.short = binary.BigEndian.Uint16(x.key)
		if options == "omitempty" {
			x.omit = x.shape.empty()
		}
		fields = append(fields, x)
	}
	if len(fields) > 64 {
		panic(fmt.Sprintf("wire: %s has more than 64 fields", t))
	}
	return fields
}

// empty tells the values that omitempty leaves out, or is nil where none is.
func (s *shape) empty() func(unsafe.Pointer) bool {
	switch s.kind {
	case reflect.String:
		return func(p unsafe.Pointer) bool { return len(*(*string)(p)) == 0 }
	case reflect.Slice:
		return func(p unsafe.Pointer) bool { return (*list)(p).length == 0 }
	case reflect.Pointer:
		return func(p unsafe.Pointer) bool { return *(*unsafe.Pointer)(p) == nil }
	case reflect.Struct:
		for _, f := range s.fields {
			if f.omit == nil {
				return nil
			}
		}
		return func(p unsafe.Pointer) bool { return s.present(p) == 0 }
	case reflect.Array:
		if _, ok := s.typ.MethodByName("IsZero"); !ok {
			return nil
		}
	}
	size := s.typ.Size()
	return func(p unsafe.Pointer) bool {
		for _, b := range unsafe.Slice((*byte)(p), size) {
			if b != 0 {
				return false
			}
		}
		return true
	}
}

// present is how many fields of a struct go onto the wire.
func (s *shape) present(p unsafe.Pointer) int {
	n := len(s.fields)
	for i := range s.fields {
		if f := &s.fields[i]; f.omit != nil && f.omit(unsafe.Add(p, f.offset)) {
			n--
		}
	}
	return n
}

// list is how a slice lies in memory.
type list struct {
	data     unsafe.Pointer
	length   int
	capacity int
}

// named is the place of the field of a name, or -1. after is where to look
// first: fields mostly come in order.
func (s *shape) named(name []byte, after int) int {
	for k := range s.fields {
		i := after + k
		if i >= len(s.fields) {
			i -= len(s.fields)
		}
		if s.fields[i].name == string(name) {
			return i
		}
	}
	return -1
}
