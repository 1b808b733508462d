// Package segments keeps many small blobs in a few large files: the outputs of
// results that are not sealed yet, which come by the hundred thousand a second,
// live for seconds to days, and are then dropped in bulk.
//
// What a Put has acknowledged is on the disk, whenever the process or the power
// ends. Puts that come together share one write and one fsync. A blob that is
// there already is written again all the same: it takes the same time and gives
// the same answer, so that a sender learns nothing about who sent it before
// (T3), and a damaged copy is whole afterwards. Every byte is checked before it
// is returned, and any bit that flips in a segment is found. After a write or an
// fsync has failed, for another reason than a full disk, the store takes nothing
// more and goes on reading.
//
// A blob may be put under a group, a number: what it is needed for. Under each
// group it stands by itself, and a group is dropped whole, in no time.
//
// In memory a blob takes 20 to 30 bytes, without pointers; each segment has one
// file open. The package starts no goroutine: of the callers that put, one
// writes for all. It writes nothing outside of its directory and logs nothing.
//
// # The directory
//
//	lock               locked while a process has the store open
//	00000001.segment   the segments, by their numbers in hexadecimal
//
// Files whose names begin with a dot are left alone; any other means that the
// directory is not a store, and it is refused.
//
// A segment is written from the front to the back by the process that made it,
// never by another. Numbers go up: what stands in a higher segment, or further
// back in the same one, is newer. Segments whose blobs are all dropped are
// deleted; Compact copies what lives in others that are mostly dead.
//
// # The format of a segment
//
// All integers are big-endian. A segment begins with a header of 24 bytes:
//
//	0   8   magic, the characters "sheafseg"
//	8   1   version, 2
//	9   3   zero
//	12  4   number of the segment
//	16  4   zero
//	20  4   CRC-32C of the 20 bytes before
//
// Records follow without gaps. Each is a header of 56 bytes and a body:
//
//	0   4   mark, the bytes b1 73 72 9c
//	4   1   kind: 1 a blob, 2 notes
//	5   3   length of the body, 0 to 65,536
//	8   4   CRC-32C of the body
//	12  32  SHA-256 of the body
//	44  8   group, 0 for a blob that stands alone
//	52  4   CRC-32C of the segment's number (4 bytes), the record's offset in it (4 bytes), and the 52 bytes before
//
// The body of a blob is its bytes. Of two whole records with one digest and
// group the newer counts. The body of notes is a list of records, in this or in older
// segments, that do not count any more: each the number of the segment and the
// offset in it, 4 bytes each. A note is written after what makes it true is on
// the disk; one that is lost brings a dropped blob back, which does no harm.
//
// # Damage
//
// A record whose body fails its checksum is kept, and reading the blob is
// storage.ErrCorrupt; such a record never replaces a whole one.
//
// A header in which one bit has flipped is set right: each of its 448 bits is
// tried, and the body's SHA-256 tells whether the guess was right. Where a
// header is beyond that, the next record is searched for, by the mark. Since
// the bytes in between are a stranger's and may be made to look like records,
// from there to the end of the segment only records whose SHA-256 is right
// count, and notes do not. The bytes passed over are counted in Damage, and the
// blobs in them are storage.ErrNotFound.
//
// At the end of the last segment, the bytes after the last record are what a
// write left that did not come to its end: nobody was told that it did. They
// are cut off when the store is opened.
package segments
