package wasm

import (
	"encoding/binary"
	"unicode/utf8"
)

// reader takes bytes of a module from at up to end. After the first thing
// that is wrong, err is set and everything else reads as zero, so that callers
// check once, at the end of what belongs together.
type reader struct {
	module []byte
	at     int
	end    int
	err    error
}

func (r *reader) left() int { return r.end - r.at }

func (r *reader) more() bool { return r.err == nil && r.at < r.end }

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.at = r.end
}

func (r *reader) invalid(format string, args ...any) {
	if r.err == nil {
		r.fail(invalid(r.at, format, args...))
	}
}

func (r *reader) byte() byte {
	if r.at >= r.end {
		r.invalid("it ends in the middle of something")
		return 0
	}
	b := r.module[r.at]
	r.at++
	return b
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > r.left() {
		r.invalid("it says that %d bytes follow, but %d do", n, r.left())
		return nil
	}
	b := r.module[r.at : r.at+n : r.at+n]
	r.at += n
	return b
}

// part returns a reader of the next n bytes and skips them.
func (r *reader) part(n uint32) reader {
	from := r.at
	r.bytes(int(n))
	return reader{module: r.module, at: from, end: r.at, err: r.err}
}

// finish reports bytes that are left over.
func (r *reader) finish(what string) {
	if r.err == nil && r.at != r.end {
		r.invalid("%s is %d bytes longer than what is in it", what, r.left())
	}
}

func (r *reader) u32() uint32 {
	if r.at < r.end && r.module[r.at] < 0x80 { // nearly all are one byte long
		r.at++
		return uint32(r.module[r.at-1])
	}
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if v > 1<<32-1 {
				break
			}
			return uint32(v)
		}
	}
	r.invalid("a number is longer than 32 bits")
	return 0
}

// signed reads a signed number of the given width: 32, 33 or 64 bits.
func (r *reader) signed(width int) int64 {
	var v int64
	for shift := 0; shift < width; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if b >= 0x80 {
			continue
		}
		if rest := width - shift; rest < 7 {
			// The unused bits of a last byte must repeat the sign.
			if high := int8(b<<1) >> rest; high != 0 && high != -1 {
				break
			}
		}
		if shift+7 < 64 {
			v = v << (57 - shift) >> (57 - shift)
		}
		return v
	}
	r.invalid("a number is longer than %d bits", width)
	return 0
}

// count reads how many entries follow, each of which takes at least one byte.
func (r *reader) count(what string, most int) int {
	n := r.u32()
	if uint64(n) > uint64(r.left()) {
		r.invalid("it says that %d %s follow, but only %d bytes are left", n, what, r.left())
		return 0
	}
	if int(n) > most {
		r.fail(tooLarge("it has %d %s, at most %d are allowed", n, what, most))
		return 0
	}
	return int(n)
}

func (r *reader) name() string {
	n := r.u32()
	if int64(n) > int64(r.left()) {
		r.invalid("a name is %d bytes long, but only %d are left", n, r.left())
		return ""
	}
	b := r.bytes(int(n))
	if !utf8.Valid(b) {
		r.invalid("a name is not UTF-8 text")
	}
	return string(b)
}

func appendU32(b []byte, v uint32) []byte { return binary.AppendUvarint(b, uint64(v)) }

func appendSigned(b []byte, v int64) []byte {
	for v < -64 || v > 63 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v)&0x7f)
}

func appendSection(b []byte, id byte, content []byte) []byte {
	b = appendU32(append(b, id), uint32(len(content)))
	return append(b, content...)
}

func appendName(b []byte, name string) []byte {
	return append(appendU32(b, uint32(len(name))), name...)
}
