package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/task"
)

// Paths that only the cluster's operator may read, for backups. Each reading is
// signed (SignRead).
const (
	PathSnapshot      = "/v1/operator/snapshot" // GET: the index, 8 bytes, and the state as of it
	PathOperatorBlobs = "/v1/operator/blobs/"   // GET: any blob; POST: many small ones
)

// OperatorBlobPath is the path of any blob of an area, "blobs" or "outputs".
func OperatorBlobPath(area string, blob task.Digest) string {
	return PathOperatorBlobs + area + "/" + blob.String()
}

// OperatorBatchPath is the path to which a list of blobs is posted (EncodeAsked). The
// path is signed, and names the list by its digest.
func OperatorBatchPath(area string, list task.Digest) string {
	return PathOperatorBlobs + area + "/batch/" + list.String()
}

// MaxBatch is how many blobs are asked for at once.
const MaxBatch = 1024

// Asked is one blob of a batch that is asked for.
type Asked struct {
	Blob task.Digest
	// Stage and Index are the task whose output it is, where that is known: it may
	// be in a pack by now. Stage 0 names none.
	Stage task.StageID
	Index uint64
}

const askedSize = len(task.Digest{}) + 4 + 8

// MaxAsk bounds what EncodeAsked makes of a batch, in bytes.
const MaxAsk = MaxBatch * askedSize

// EncodeAsked is what is posted to ask for a batch.
func EncodeAsked(all []Asked) []byte {
	b := make([]byte, 0, len(all)*askedSize)
	for _, a := range all {
		b = append(b, a.Blob[:]...)
		b = binary.BigEndian.AppendUint32(b, uint32(a.Stage))
		b = binary.BigEndian.AppendUint64(b, a.Index)
	}
	return b
}

// DecodeAsked reads what EncodeAsked made.
func DecodeAsked(b []byte) ([]Asked, error) {
	if len(b)%askedSize != 0 || len(b) > MaxAsk {
		return nil, fmt.Errorf("a list of %d bytes, want at most %d of %d each", len(b), MaxBatch, askedSize)
	}
	all := make([]Asked, 0, len(b)/askedSize)
	for ; len(b) > 0; b = b[askedSize:] {
		all = append(all, Asked{Blob: task.Digest(b[:32]), Stage: task.StageID(binary.BigEndian.Uint32(b[32:])), Index: binary.BigEndian.Uint64(b[36:])})
	}
	return all, nil
}

// endOfBatch stands where the place of a blob could.
const endOfBatch = 1<<32 - 1

// WriteBatchBlob writes one blob of a batch: its place in the list that was
// asked for, and its bytes.
func WriteBatchBlob(w io.Writer, place int, b []byte) error {
	head := binary.BigEndian.AppendUint32(nil, uint32(place))
	head = binary.BigEndian.AppendUint32(head, uint32(len(b)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// EndBatch writes what shows that a batch came whole.
func EndBatch(w io.Writer) error {
	_, err := w.Write(binary.BigEndian.AppendUint32(nil, endOfBatch))
	return err
}

// ReadBatch reads a batch. A blob of more than limit bytes is refused. The bytes
// are fn's; whether they are what was asked for is fn's to find out.
func ReadBatch(r io.Reader, limit int, fn func(place int, b []byte) error) error {
	var head [4]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return cutShort(err)
		}
		place := binary.BigEndian.Uint32(head[:])
		if place == endOfBatch {
			return nil
		}
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return cutShort(err)
		}
		size := binary.BigEndian.Uint32(head[:])
		if place >= MaxBatch || uint64(size) > uint64(limit) {
			return fmt.Errorf("a batch with blob %d of %d bytes, at most %d blobs of %d bytes are read", place, size, MaxBatch, limit)
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return cutShort(err)
		}
		if err := fn(int(place), b); err != nil {
			return err
		}
	}
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("the batch was cut short: %w", err)
}
