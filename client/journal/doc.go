// Package journal keeps on disk what a volunteer's machine must not forget: who
// it is to which cluster, the request that it sent and has no answer to, the
// attempts that it accepted, and the results that nobody acknowledged yet.
//
// It promises:
//   - What a method was given is on the disk when it returns nil, whole, and
//     stays so after kill -9 or a power cut.
//   - The request on its way is kept as the exact bytes that were sent, so that
//     they can be sent again under the same number (R2).
//   - A result, once recorded, is kept until it is acknowledged. It is replaced
//     only by Replace, and never while it is on its way.
//   - A journal that is damaged, was written by a newer version, belongs to
//     another key or cluster, or is in use, is refused with a message that names
//     it and says what to do. Nothing in it is skipped (R4).
//
// The file is a bbolt database; each value is a frame of package wire. Methods
// may be called from any goroutine. It starts no goroutine, and never touches
// another file.
package journal
