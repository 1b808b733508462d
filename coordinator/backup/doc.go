// Package backup writes and reads backups of a whole cluster: one file with a
// snapshot of the state and every blob that the state needs.
//
// Take copies a running cluster. The snapshot is that of one index of the log,
// and blobs never change, so the backup is consistent however much goes on
// meanwhile. It keeps little in memory: a page of blobs, the state, and 32 MiB
// to remember what it has. Everything is verified by its digest when it comes
// and again when it is written. A backup that was interrupted is a file named
// "….partial" and goes on where it was.
//
// Walk finds what a state needs. Reader reads a backup from its front to its
// end and stops at the first byte that is not right, by its place in the file.
//
// The package starts no goroutine. A backup holds the cluster's secret, and
// outputs that are not released: whoever has it can read them.
//
// # The file
//
// A row of frames (internal/wire), each with its own CRC-32C. The payload of each
// begins with a byte, 0 for bytes as they are, 1 for zstd; what follows is at
// most 2 MiB, msgpack but for parts.
//
//	80 head      v format, 1; c cluster
//	81 pack      b list of small blobs: a area, d digest, g group, b bytes
//	82 large     a area, d digest, z size; parts follow until it is whole
//	83 part      up to 1 MiB of bytes
//	84 sealed    d digest of a sheaf: all outputs that it names stand before
//	85 snapshot  i index, z size; parts follow until it is whole
//	86 manifest  v format, c cluster, i index, d state digest, n cluster time,
//	             w wall time, p b public blobs and their bytes, o u outputs and
//	             their bytes, k blobs of ended jobs that the cluster has no more,
//	             s SHA-256 of all frames before
//
// The areas are 1 for public blobs and 2 for outputs. A blob may stand more than
// once. The manifest is the last frame: a file without it was cut short.
package backup
