package wire

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// shape is what check knows of a type.
type shape struct {
	typ    reflect.Type
	kind   reflect.Kind
	binary bool   // an array that is bytes on the wire
	length uint64 // of an array
	elem   *shape // of a pointer or a slice
	size   uint64 // of an element, in memory
	fields []field
}

type field struct {
	name  string // on the wire
	label string // in the program
	shape *shape
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

func newShape(t reflect.Type) *shape {
	s := &shape{typ: t, kind: t.Kind(), binary: reflect.PointerTo(t).Implements(binaryUnmarshaler)}
	switch {
	case s.kind == reflect.Array:
		s.length = uint64(t.Len())
	case s.binary:
	case s.kind == reflect.Pointer || s.kind == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		s.elem, s.size = shapeOf(t.Elem()), uint64(t.Elem().Size())
	case s.kind == reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if name, _, _ := strings.Cut(f.Tag.Get("msgpack"), ","); name != "" && name != "-" {
				s.fields = append(s.fields, field{name: name, label: f.Name, shape: shapeOf(f.Type)})
			}
		}
		if len(s.fields) > 64 {
			panic(fmt.Sprintf("wire: %s has more than 64 fields", t))
		}
	}
	return s
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
