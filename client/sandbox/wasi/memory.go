package wasi

import "encoding/binary"

// Memory is a program's memory, as its engine holds it.
type Memory interface {
	// Read returns the n bytes at offset as a window into the memory, not a
	// copy: what is written to it, the program sees. It is valid until the
	// program runs again. ok is false when any of the bytes lies outside.
	Read(offset, n uint32) (window []byte, ok bool)
}

// call is one call of a program: its arguments, as the engine's 64-bit words,
// and the memory that they point into.
type call struct {
	memory Memory
	args   []uint64
}

func (c call) u32(i int) uint32 { return uint32(c.args[i]) }
func (c call) u64(i int) uint64 { return c.args[i] }

// window is the n bytes of memory at p. No bytes lie nowhere, so that any
// pointer will do for them.
func (c call) window(p uint32, n uint64) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if n > 1<<32-1 {
		return nil, errFault
	}
	w, ok := c.memory.Read(p, uint32(n))
	if !ok {
		return nil, errFault
	}
	return w, nil
}

// result is where argument i points to: n bytes that the call fills. Calls ask
// for it before they change anything, so that a bad pointer changes nothing.
func (c call) result(i, n int) ([]byte, error) { return c.window(c.u32(i), uint64(n)) }

func put16(b []byte, v uint16) { binary.LittleEndian.PutUint16(b, v) }
func put32(b []byte, v uint32) { binary.LittleEndian.PutUint32(b, v) }
func put64(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }
func get16(b []byte) uint16    { return binary.LittleEndian.Uint16(b) }
func get32(b []byte) uint32    { return binary.LittleEndian.Uint32(b) }
func get64(b []byte) uint64    { return binary.LittleEndian.Uint64(b) }
