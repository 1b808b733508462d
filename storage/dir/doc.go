// Package dir keeps blobs in a directory, one file each, compressed.
//
// What a Put has acknowledged is on the disk, file and name; what it has not
// is invisible, whenever the process or the power ends. Every byte read is
// checked before it is returned, and any bit that flips in a stored file is
// found. Memory is bounded: a Put holds one chunk, and all reading together
// Config.Coders chunks. The package starts no goroutine but those that
// PutBatch waits for, writes nothing outside of its directory, and logs
// nothing.
//
// A store holds compressors, and those hold channels: a store that is opened
// in a testing/synctest bubble belongs to that bubble.
//
// # The directory
//
//	format        the text "sheaf blobs 1\n"
//	lock          locked while a process has the store open
//	tmp/          files being written; emptied when the store is opened
//	00/ ... ff/   the blobs, as far as there are any:
//	              <first two digits>/<64 digits of the SHA-256>.blob
//
// A blob is written to tmp, synced, renamed to its place, and then its
// directory is synced. Putting a blob that is there already writes it again
// and replaces it. Files with other names are left alone.
//
// # The format of a file
//
// The bytes of the blob are cut into chunks of 1 MiB, the last one shorter,
// and each chunk is compressed alone, so that any range can be read by
// expanding the chunks it touches. All integers are big-endian.
//
//	header      56 bytes
//	chunks      one after the other, without gaps
//	table       56 bytes a chunk, up to the end of the file
//
// The header:
//
//	0   8   magic, the characters "sheafblb"
//	8   1   version, 1
//	9   1   20: chunks have 2^20 bytes
//	10  2   zero
//	12  8   size of the blob, in bytes
//	20  32  SHA-256 of the blob
//	52  4   CRC-32C of the 52 bytes before
//
// An entry of the table:
//
//	0   8   offset of the chunk in the file
//	8   4   its length there, in bytes
//	12  1   how it is stored: 0 as it is, 1 as one zstd frame
//	13  3   zero
//	16  4   CRC-32C of the chunk as stored
//	20  32  SHA-256 of the chunk itself
//	52  4   CRC-32C of the blob's SHA-256, the chunk's number (8 bytes), and the 52 bytes before
//
// The number of chunks, and with the size of the file the place of the table,
// follow from the size in the header. A chunk that zstd does not shorten by a
// sixteenth is stored as it is. Which bytes zstd makes may change with its
// version; nothing but this table depends on them.
package dir
