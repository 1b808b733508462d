// Package task is Sheaf's vocabulary: what a job, a task, an attempt and a
// result are, and how each is named and checksummed.
//
// It promises that splitting is a pure function: from a job's specification,
// at most one page of an index, and a number, it makes the same task, with
// the same checksum, on every machine and in every later version (T1). The
// encodings that are hashed here are therefore frozen; docs/formats.md lists
// them, and golden values in the tests hold them still.
//
// It does no I/O, reads no clock, draws no random number, starts no goroutine.
package task
