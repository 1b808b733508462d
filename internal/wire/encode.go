package wire

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// Marshal encodes a struct, or what a pointer to one points to. The same value
// always gives the same bytes. It panics on a type that doc.go does not allow.
func Marshal(v any) []byte {
	return exact(func(b []byte) []byte { return appendValue(b, v) })
}

// SealValue puts an encoded struct into a frame of a kind, as
// Seal(kind, Marshal(v)) does, and copies its bytes once less.
func SealValue(kind uint16, v any) []byte {
	return exact(func(b []byte) []byte { return AppendSealed(b, kind, v) })
}

// AppendSealed appends what SealValue returns.
func AppendSealed(b []byte, kind uint16, v any) []byte {
	start := len(b)
	b = appendValue(append(b, make([]byte, headerSize)...), v)
	putHeader(b[start:], kind, b[start+headerSize:])
	return b
}

// scratch holds buffers that values are encoded into before their size is known.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch bounds a buffer that is kept for the next value, in bytes.
const maxScratch = 1 << 20

// exact is what encode appends to nothing, in no more memory than that takes.
func exact(encode func(b []byte) []byte) []byte {
	buffer := scratch.Get().(*[]byte)
	b := encode((*buffer)[:0])
	out := append(make([]byte, 0, len(b)), b...)
	if cap(b) <= maxScratch {
		*buffer = b
		scratch.Put(buffer)
	}
	return out
}

func appendValue(b []byte, v any) []byte {
	x := reflect.ValueOf(v)
	if x.Kind() != reflect.Pointer { // so that it has an address
		p := reflect.New(x.Type())
		p.Elem().Set(x)
		x = p
	}
	if x.Type().Elem().Kind() != reflect.Struct || x.IsNil() {
		panic(fmt.Sprintf("wire: want a struct or a pointer to one, got %T", v))
	}
	return shapeOf(x.Type().Elem()).append(b, x.UnsafePointer())
}

// append appends the value at p.
func (s *shape) append(b []byte, p unsafe.Pointer) []byte {
	switch s.kind {
	case reflect.Bool:
		if *(*bool)(p) {
			return append(b, 0xc3)
		}
		return append(b, 0xc2)
	case reflect.Uint8:
		return appendUint(b, uint64(*(*uint8)(p)))
	case reflect.Uint16:
		return appendUint(b, uint64(*(*uint16)(p)))
	case reflect.Uint32:
		return appendUint(b, uint64(*(*uint32)(p)))
	case reflect.Uint64:
		return appendUint(b, *(*uint64)(p))
	case reflect.Uint:
		return appendUint(b, uint64(*(*uint)(p)))
	case reflect.Int8:
		return appendInt(b, int64(*(*int8)(p)))
	case reflect.Int16:
		return appendInt(b, int64(*(*int16)(p)))
	case reflect.Int32:
		return appendInt(b, int64(*(*int32)(p)))
	case reflect.Int64:
		return appendInt(b, *(*int64)(p))
	case reflect.Int:
		return appendInt(b, int64(*(*int)(p)))
	case reflect.String:
		return appendText(b, *(*string)(p))
	case reflect.Array:
		return appendBytes(b, unsafe.Slice((*byte)(p), s.length))
	case reflect.Pointer:
		if p = *(*unsafe.Pointer)(p); p == nil {
			return append(b, 0xc0)
		}
		return s.elem.append(b, p)
	case reflect.Slice:
		return s.appendSlice(b, p)
	}
	return s.appendStruct(b, p)
}

func (s *shape) appendSlice(b []byte, p unsafe.Pointer) []byte {
	l := (*list)(p)
	if l.data == nil {
		return append(b, 0xc0)
	}
	if s.elem == nil {
		return appendBytes(b, unsafe.Slice((*byte)(l.data), l.length))
	}
	b = appendHead(b, uint64(l.length), 0x90, 16, 0, 0xdc, 0xdd)
	for i := range l.length {
		b = s.elem.append(b, unsafe.Add(l.data, uintptr(i)*uintptr(s.size)))
	}
	return b
}

func (s *shape) appendStruct(b []byte, p unsafe.Pointer) []byte {
	b = appendHead(b, uint64(s.present(p)), 0x80, 16, 0, 0xde, 0xdf)
	for i := range s.fields {
		f := &s.fields[i]
		at := unsafe.Add(p, f.offset)
		if f.omit != nil && f.omit(at) {
			continue
		}
		b = f.shape.append(append(b, f.key...), at)
	}
	return b
}

// appendUint appends a number in its shortest form.
func appendUint(b []byte, n uint64) []byte { return appendHead(b, n, 0, 1<<7, 0xcc, 0xcd, 0xce) }

func appendInt(b []byte, n int64) []byte {
	switch {
	case n >= 0:
		return appendUint(b, uint64(n))
	case n >= -1<<5:
		return append(b, byte(n))
	case n >= -1<<7:
		return append(b, 0xd0, byte(n))
	case n >= -1<<15:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(n))
	case n >= -1<<31:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(n))
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, uint64(len(s)), 0xa0, 32, 0xd9, 0xda, 0xdb), s...)
}

func appendBytes(b, v []byte) []byte {
	return append(appendHead(b, uint64(len(v)), 0, 0, 0xc4, 0xc5, 0xc6), v...)
}

// appendHead appends a number, or the length of what follows: in one byte with
// tiny where it is below that form's limit, else behind the code of the
// narrowest form that there is; 0: there is none of 8 bits.
func appendHead(b []byte, n uint64, tiny byte, limit uint64, code8, code16, code32 byte) []byte {
	switch {
	case n < limit:
		return append(b, tiny|byte(n))
	case n < 1<<8 && code8 != 0:
		return append(b, code8, byte(n))
	case n < 1<<16:
		return append(b, code16, byte(n>>8), byte(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, code32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), n) // only a number can be so large
}
