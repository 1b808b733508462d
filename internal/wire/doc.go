// Package wire turns Go structs into bytes and back: for the log, snapshots,
// the network and journals. It is the only place that configures msgpack.
//
// msgpack v5 trusts what it decodes: five bytes can make it allocate
// gigabytes, nesting overflows the stack, -1 becomes 2⁶⁴-1 in an unsigned
// field, bytes behind the value are ignored. So bytes are first walked beside
// the type that they are meant for (check.go): lengths against what is there,
// numbers against the range of their field, depth against the type, nothing
// behind the end. Only what passes reaches the decoder.
//
// Types that go through here hold integers, booleans, strings, byte slices,
// arrays that marshal themselves to binary, structs, and slices of these. No
// maps and no floats: neither has one encoding. Slices carry omitempty, so
// that nil and empty are the same bytes.
//
// It starts no goroutine and keeps no state.
package wire
