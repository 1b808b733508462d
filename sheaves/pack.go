package sheaves

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A pack holds what the accepted results of a sealed chunk left behind, as far
// as it is small, in one blob: a million small outputs are not a million files.
//
//	magic     "sheaf pack 1\n"
//	count     4 bytes, big-endian: how many tasks the chunk has
//	parts     for each task the size of its list of outputs, and of its small
//	          outputs together, 4 bytes each; 0 for a task that ended failed
//	bytes     for each task its list, then its small outputs in the order of the
//	          list, without gaps
//
// Of a chunk with two sheaves there are two packs: the sizes of the other's tasks
// are 0.

// ErrBadPack is returned for bytes that are not the beginning of a pack.
var ErrBadPack = errors.New("not a pack")

// MaxPacked is how large an output may be that goes into a pack, in bytes. The
// lists go there whatever their size is.
const MaxPacked = 64 << 10

const (
	packMagic  = "sheaf pack 1\n"
	packPrefix = len(packMagic) + 4
	packPart   = 8
)

// PackPrefix is how many bytes of a pack PackHeaderSize needs.
const PackPrefix = packPrefix

// PackPart is what a pack holds of one task, in bytes.
type PackPart struct {
	List    uint32 // the list of its outputs
	Outputs uint32 // the small ones, together
}

// PackHeader is what comes before the bytes of a pack.
func PackHeader(parts []PackPart) []byte {
	b := make([]byte, 0, packPrefix+len(parts)*packPart)
	b = append(b, packMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(parts)))
	for _, p := range parts {
		b = binary.BigEndian.AppendUint32(b, p.List)
		b = binary.BigEndian.AppendUint32(b, p.Outputs)
	}
	return b
}

// PackHeaderSize is how long the header of a pack is that begins with prefix,
// PackPrefix bytes.
func PackHeaderSize(prefix []byte) (int, error) {
	if len(prefix) < packPrefix || string(prefix[:len(packMagic)]) != packMagic {
		return 0, fmt.Errorf("%w: it does not begin like one", ErrBadPack)
	}
	n := binary.BigEndian.Uint32(prefix[len(packMagic):])
	if n > MaxTasks {
		return 0, fmt.Errorf("%w: %d tasks, at most %d", ErrBadPack, n, MaxTasks)
	}
	return packPrefix + int(n)*packPart, nil
}

// PackIndex says where in a pack the parts of the tasks are.
type PackIndex struct {
	parts   []PackPart
	offsets []int64
}

// DecodePackHeader reads what PackHeader wrote, and nothing else.
func DecodePackHeader(b []byte) (*PackIndex, error) {
	size, err := PackHeaderSize(b)
	if err != nil {
		return nil, err
	}
	if len(b) != size {
		return nil, fmt.Errorf("%w: a header of %d bytes, want %d", ErrBadPack, len(b), size)
	}
	x := &PackIndex{}
	at := int64(size)
	for rest := b[packPrefix:]; len(rest) > 0; rest = rest[packPart:] {
		p := PackPart{List: binary.BigEndian.Uint32(rest), Outputs: binary.BigEndian.Uint32(rest[4:])}
		x.parts, x.offsets = append(x.parts, p), append(x.offsets, at)
		at += int64(p.List) + int64(p.Outputs)
	}
	return x, nil
}

// ReadPackIndex reads what a pack of size bytes begins with.
func ReadPackIndex(pack io.ReaderAt, size int64) (*PackIndex, error) {
	prefix := make([]byte, packPrefix)
	if err := readAt(pack, prefix, 0); err != nil {
		return nil, err
	}
	n, err := PackHeaderSize(prefix)
	if err != nil {
		return nil, err
	}
	if int64(n) > size {
		return nil, fmt.Errorf("%w: its index takes %d bytes, it has %d", ErrBadPack, n, size)
	}
	header := make([]byte, n)
	if err := readAt(pack, header, 0); err != nil {
		return nil, err
	}
	return DecodePackHeader(header)
}

// readAt fills b; a pack that ends before is told from its bytes.
func readAt(pack io.ReaderAt, b []byte, offset int64) error {
	if _, err := pack.ReadAt(b, offset); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Tasks is how many tasks the pack has parts of.
func (x *PackIndex) Tasks() uint64 { return uint64(len(x.parts)) }

// Part says where in the pack the part of a task begins, the k-th of the chunk,
// and how much there is; nothing of a task that ended failed or is in another pack.
func (x *PackIndex) Part(k uint64) (offset int64, part PackPart) {
	if k >= uint64(len(x.parts)) {
		return 0, PackPart{}
	}
	return x.offsets[k], x.parts[k]
}
