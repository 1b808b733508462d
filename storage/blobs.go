// Package storage says what a store of blobs is: a blob is an immutable string
// of bytes, named by its SHA-256.
//
// It holds the interface, Blobs, with its promises, the errors and the limits
// that every store shares, and Body, which checks a blob on its way in. The
// stores are in the packages below: dir keeps blobs in a directory, memory in
// a map; faulty fails on purpose; storagetest holds the tests that all pass.
//
// It does no I/O of its own, starts no goroutine, and never looks into what
// the bytes mean.
package storage

import (
	"context"
	"io"

	"github.com/sheafgrid/sheaf/task"
)

// Blobs is a store of blobs. All its methods may be called at the same time
// from anywhere, also from the function given to List.
//
// Errors wrap the sentinels of this package where they apply. Any other error
// means that the store itself failed (a disk, a network): what a failed Put
// leaves is then unknown until it is repeated, and whoever answers for the
// disk should stop.
type Blobs interface {
	// Put stores the size bytes that r delivers under their digest. When it
	// returns nil they are durable. It reads r to its end, also when the blob
	// is there already, and then too takes the same time and gives the same
	// answer, so that a sender learns nothing about who sent it before (T3); a
	// stored copy that was damaged is whole again afterwards.
	//
	// A size beyond the store's limit is ErrTooLarge and a store without room
	// ErrNoSpace, both before r is read where that can be known. Bytes that are
	// fewer or more than size or have another digest are ErrMismatch. An error
	// of r is ErrSource and wraps it. In each of these cases nothing was stored
	// and everything else is as before. Nobody ever sees a part of a blob, or a
	// blob that a power cut could still take back.
	//
	// Put looks at ctx between reads; it cannot interrupt r itself. It keeps
	// little more than ChunkSize bytes in memory, whatever the size.
	Put(ctx context.Context, digest task.Digest, size int64, r io.Reader) error

	// PutBatch stores many small blobs and makes them durable together, as
	// cheaply as the store can. It checks all of them first: if any is
	// ErrTooLarge (MaxSmallSize) or ErrMismatch, none is stored. After any other
	// error some may have been stored and the batch should be repeated. The same
	// blob may be in a batch twice. It does not keep or change the bytes.
	PutBatch(ctx context.Context, blobs []Small) error

	// Open returns a blob for reading; the caller closes it. A blob that is not
	// there is ErrNotFound, one whose stored form is damaged ErrCorrupt.
	Open(ctx context.Context, digest task.Digest) (Blob, error)

	// Has reports whether a blob is there. It does not read its bytes, so they
	// may still turn out to be damaged.
	Has(ctx context.Context, digest task.Digest) (bool, error)

	// Delete removes a blob; one that is not there is no error. A power cut
	// soon afterwards can bring the blob back. Reading a Blob that was opened
	// before goes on, or fails with ErrNotFound.
	Delete(ctx context.Context, digest task.Digest) error

	// List calls fn for every blob, in the order of their digests, on the
	// caller's goroutine. An error of fn ends it and is returned as it is. The
	// size is UnknownSize where damage hides it. What is put or deleted
	// meanwhile may be listed or not.
	List(ctx context.Context, fn func(digest task.Digest, size int64) error) error

	// Usage tells what the store holds.
	Usage(ctx context.Context) (Usage, error)
}

// Blob is one stored blob, open for reading.
//
// ReadAt returns bytes that were checked against their checksum, or none: a
// range that touches damage is ErrCorrupt. It may be called from several
// goroutines at once. That the parts belong to the digest they were asked for
// under is only sure after all of them were read and hashed, as ReadAll does.
type Blob interface {
	io.ReaderAt
	io.Closer

	// Size is the number of bytes of the blob.
	Size() int64
}

// Small is a blob of at most MaxSmallSize bytes, in memory. Its bytes must not
// change while it is in use.
type Small struct {
	Digest task.Digest `msgpack:"d"`
	Bytes  []byte      `msgpack:"b,omitempty"`
	Group  uint64      `msgpack:"g,omitempty"` // what it is needed for, where the store keeps such (storage/segments); 0: it stands alone

	proven bool // the bytes have this digest
}

// SmallOf is the blob that some bytes are.
func SmallOf(b []byte) Small { return Small{Digest: task.Sum(b), Bytes: b, proven: true} }

// Usage tells what a store holds.
type Usage struct {
	Blobs int64 // how many
	Bytes int64 // what they take of the store's space, after compression and with all overhead
	Quota int64 // what Bytes may not exceed; 0 where there is no limit
}
