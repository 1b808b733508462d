package sheaves

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/sheafgrid/sheaf/task"
)

// A pack holds the small outputs of a sealed chunk's accepted results, and the
// lists of all of them, in one blob: a million small outputs are not a million
// files. It has one canonical form:
//
//	magic     "sheaf pack 1\n"
//	count     4 bytes, big-endian
//	entries   for each blob its digest and, in 4 bytes, its size, in the order
//	          of the digests, each once
//	bytes     the blobs, in the same order, without gaps

// ErrBadPack is returned for bytes that are not the beginning of a pack.
var ErrBadPack = errors.New("not a pack")

// MaxPacked is how large an output may be that goes into a pack, in bytes. The
// lists go there whatever their size is.
const MaxPacked = 64 << 10

// MaxPackEntries is how many blobs a pack holds at most: for each task a list
// and what it lists.
const MaxPackEntries = MaxTasks * (task.MaxOutputFiles + 3)

const (
	packMagic  = "sheaf pack 1\n"
	packPrefix = len(packMagic) + 4
	packEntry  = len(task.Digest{}) + 4
)

// PackPrefix is how many bytes of a pack PackHeaderSize needs.
const PackPrefix = packPrefix

// Packed is one blob of a pack.
type Packed struct {
	Digest task.Digest
	Size   uint32
}

// SortPacked puts blobs into the order of a pack, each once.
func SortPacked(blobs []Packed) []Packed {
	slices.SortFunc(blobs, func(a, b Packed) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	return slices.CompactFunc(blobs, func(a, b Packed) bool { return a.Digest == b.Digest })
}

// PackHeader is what comes before the bytes of a pack's blobs, which
// SortPacked has sorted.
func PackHeader(blobs []Packed) []byte {
	b := make([]byte, 0, packPrefix+len(blobs)*packEntry)
	b = append(b, packMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(blobs)))
	for _, p := range blobs {
		b = append(b, p.Digest[:]...)
		b = binary.BigEndian.AppendUint32(b, p.Size)
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
	if n > MaxPackEntries {
		return 0, fmt.Errorf("%w: %d blobs, at most %d", ErrBadPack, n, MaxPackEntries)
	}
	return packPrefix + int(n)*packEntry, nil
}

// PackIndex finds blobs in a pack.
type PackIndex struct {
	blobs   []Packed
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
	for rest := b[packPrefix:]; len(rest) > 0; rest = rest[packEntry:] {
		p := Packed{Digest: task.Digest(rest[:len(task.Digest{})]), Size: binary.BigEndian.Uint32(rest[len(task.Digest{}):])}
		if n := len(x.blobs); n > 0 && bytes.Compare(x.blobs[n-1].Digest[:], p.Digest[:]) >= 0 {
			return nil, fmt.Errorf("%w: blob %s is out of order", ErrBadPack, p.Digest.Short())
		}
		x.blobs, x.offsets = append(x.blobs, p), append(x.offsets, at)
		at += int64(p.Size)
	}
	return x, nil
}

// Find says where in the pack a blob is.
func (x *PackIndex) Find(digest task.Digest) (offset, size int64, ok bool) {
	k, ok := sort.Find(len(x.blobs), func(i int) int { return bytes.Compare(digest[:], x.blobs[i].Digest[:]) })
	if !ok {
		return 0, 0, false
	}
	return x.offsets[k], int64(x.blobs[k].Size), true
}
