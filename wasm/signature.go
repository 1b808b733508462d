package wasm

import (
	"slices"
	"strings"
)

// ValueType is the type of a value, as the binary format encodes it.
type ValueType byte

// The types of values in the accepted version of WebAssembly.
const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	V128      ValueType = 0x7b
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
)

// anyType stands in validation for a value of code that is never reached.
const anyType ValueType = 0

func (t ValueType) known() bool { return t >= V128 && t <= I32 || t.reference() }

func (t ValueType) reference() bool { return t == FuncRef || t == ExternRef }

// String is the type's name in the text format.
func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	case anyType:
		return "any"
	}
	return "unknown"
}

// FuncType is what a function takes and returns.
type FuncType struct {
	Params  []ValueType
	Results []ValueType
}

// Equal reports whether a caller of one can call the other.
func (f FuncType) Equal(other FuncType) bool {
	return slices.Equal(f.Params, other.Params) && slices.Equal(f.Results, other.Results)
}

// String is the signature as people write it: (i32, i64) -> i32.
func (f FuncType) String() string {
	return "(" + typeNames(f.Params) + ") -> " + resultNames(f.Results)
}

func resultNames(types []ValueType) string {
	switch len(types) {
	case 0:
		return "nothing"
	case 1:
		return types[0].String()
	}
	return "(" + typeNames(types) + ")"
}

func typeNames(types []ValueType) string {
	var b strings.Builder
	for i, t := range types {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == 16 {
			b.WriteString("...")
			break
		}
		b.WriteString(t.String())
	}
	return b.String()
}

func (r *reader) valueType() ValueType {
	t := ValueType(r.byte())
	if r.err == nil && !t.known() {
		r.at--
		switch {
		case t >= 0x63 && t <= 0x74: // typed references and those of garbage collection, exceptions and continuations
			r.fail(unsupported("uses the reference type 0x%02x of a newer WebAssembly: build without garbage collection, exceptions and typed references", byte(t)))
		default:
			r.invalid("0x%02x is not the type of a value", byte(t))
		}
	}
	return t
}

func (r *reader) referenceType() ValueType {
	t := r.valueType()
	if r.err == nil && !t.reference() {
		r.invalid("%s is not a type of references", t)
	}
	return t
}

func (r *reader) valueTypes(what string, most int) []ValueType {
	n := r.count(what, most)
	if n == 0 {
		return nil
	}
	types := make([]ValueType, n)
	for i := range types {
		types[i] = r.valueType()
	}
	return types
}
