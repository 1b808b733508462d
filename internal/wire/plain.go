package wire

import (
	"encoding/binary"
	"reflect"
	"unsafe"
)

// Nearly all that is decoded are numbers, digests and fields in their order, in the
// shortest form: what this package writes. What follows passes over these quickly, and
// leaves everything else, and all that is wrong, to the code that says what.

// plain decodes an unsigned number, or a byte string of fixed length.
func (d *decoder) plain(s *shape, p unsafe.Pointer) bool {
	b := d.b[d.pos:]
	if s.kind == reflect.Array {
		n := int(s.length)
		if len(b) < 2+n || n > 0xff || b[0] != 0xc4 || int(b[1]) != n {
			return false
		}
		copy(unsafe.Slice((*byte)(p), n), b[2:2+n])
		d.pos += 2 + n
		return true
	}
	if s.most == 0 || len(b) == 0 {
		return false
	}
	n, width := uint64(b[0]), 0
	switch {
	case n <= 0x7f:
	case n >= 0xcc && n <= 0xcf:
		if width = 1 << (n - 0xcc); len(b) < 1+width {
			return false
		}
		switch width {
		case 1:
			n = uint64(b[1])
		case 2:
			n = uint64(binary.BigEndian.Uint16(b[1:]))
		case 4:
			n = uint64(binary.BigEndian.Uint32(b[1:]))
		default:
			n = binary.BigEndian.Uint64(b[1:])
		}
	default:
		return false
	}
	if n > s.most {
		return false
	}
	switch s.kind {
	case reflect.Uint8:
		*(*uint8)(p) = uint8(n)
	case reflect.Uint16:
		*(*uint16)(p) = uint16(n)
	case reflect.Uint32:
		*(*uint32)(p) = uint32(n)
	default:
		*(*uint64)(p) = n
	}
	d.pos += 1 + width
	return true
}

// key passes over the name of the field next, or of one behind it, since those between
// may have been left out. It returns the field's place, or -1 and has passed over
// nothing.
func (d *decoder) key(s *shape, next int) int {
	b := d.b[d.pos:]
	if len(b) < 2 {
		return -1
	}
	short := binary.BigEndian.Uint16(b)
	for i := next; i < len(s.fields); i++ {
		f := &s.fields[i]
		if f.short != short {
			continue
		}
		if n := len(f.key); n == 2 || len(b) >= n && string(b[:n]) == string(f.key) {
			d.pos += n
			return i
		}
	}
	return -1
}
