// Package wire turns Go structs into bytes and back: for the log, snapshots,
// the network and journals. The bytes are msgpack, a struct being a map of its
// fields' names; any msgpack library reads them.
//
// The codec is our own, and small, since what goes through here is: integers,
// booleans, strings, byte slices, arrays that marshal themselves to binary,
// structs, and slices of these. No maps and no floats: neither has one
// encoding. Slices carry omitempty, so that nil and empty are the same bytes.
// General libraries trust what they decode (five bytes can make them allocate
// gigabytes, nesting overflows the stack, -1 becomes 2⁶⁴-1 in an unsigned
// field, bytes behind the value are ignored), so that everything had to be
// walked twice, once by a validator and once by them, and their reflection was
// a quarter of what a coordinator does. Here one walk beside the type does
// both: lengths are held against what is there, numbers against the range of
// their field, depth against the type, and nothing may stand behind the end.
// Tests hold it against such a library, value by value.
//
// It starts no goroutine and keeps no state.
package wire
