// Package fsutil does to a disk what the standard library leaves half done:
// it replaces files so that a power cut leaves the old or the new one, keeps
// two processes out of one directory, and recognises a full disk.
//
// It promises that what it wrote is on the disk when it returns nil, as far as
// the operating system and the disk keep their own word. It starts no
// goroutine, keeps no state, and never deletes what it did not make.
package fsutil
