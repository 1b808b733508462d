// Package wasi is the system that a program sees: WASI preview 1 as contract
// "w1" fixes it, served from memory alone.
//
// It promises that what a program sees is a function of its arguments, its
// inputs, its limits and its seed. The clock begins at a fixed time and moves
// by a fixed step at each reading; random bytes come from the seed; folders
// are listed in order; nothing tells one machine, or one engine, from another.
// No file, network, clock or entropy of the host stands behind any call (V1).
//
// It knows no engine: guest memory is one small interface, and a call is a row
// in a table. Whatever a program passes, a call answers with an error number
// or stops the program; it never panics.
//
// A System serves one program, one call at a time. The package does no I/O,
// reads no clock, draws no random number and starts no goroutine.
package wasi
