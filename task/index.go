package task

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrBadIndex is wrapped by every error about an index page or list.
var ErrBadIndex = errors.New("index is not valid")

// LinesPerPage is how many tasks one page of a lines index describes. A page
// is 48 KiB: small beside the lines that it describes, and quick to verify.
const LinesPerPage = 1024

const lineEntrySize = 8 + 8 + len(Digest{}) // offset, length, digest

// HasIndex reports whether tasks of a level can only be made with a page of
// an index: those split by lines, and those of a reduction.
func (s *JobSpec) HasIndex(level uint8) bool {
	return level > 0 || s.Split.Kind == SplitLines
}

// PageOf is the number of the page that describes task i of a level.
func (s *JobSpec) PageOf(level uint8, i uint64) uint64 {
	if level > 0 {
		return i
	}
	return i / LinesPerPage
}

// Pages is how many pages the index of a level has.
func (s *JobSpec) Pages(level uint8) uint64 {
	switch {
	case !s.HasIndex(level):
		return 0
	case level > 0:
		return s.Count(level)
	}
	return (s.Count(0) + LinesPerPage - 1) / LinesPerPage
}

// EncodeIndex is the list of an index's pages: their digests one after the
// other. Its own digest is what a job names.
func EncodeIndex(pages []Digest) []byte {
	b := make([]byte, 0, len(pages)*len(Digest{}))
	for _, p := range pages {
		b = append(b, p[:]...)
	}
	return b
}

// PageDigest reads the digest of one page from what EncodeIndex made.
func PageDigest(index []byte, page uint64) (Digest, error) {
	size := uint64(len(Digest{}))
	if uint64(len(index))%size != 0 || page >= uint64(len(index))/size {
		return Digest{}, fmt.Errorf("%w: page %d of an index of %d bytes", ErrBadIndex, page, len(index))
	}
	return Digest(index[page*size : (page+1)*size]), nil
}

// LineRange is where the lines of one task are, and what they hash to.
type LineRange struct {
	Offset uint64 // bytes from the start of the file
	Length uint64 // bytes, the last newline included
	Digest Digest
}

// AppendLineRange adds one task's entry to a page of a lines index.
func AppendLineRange(page []byte, r LineRange) []byte {
	page = binary.BigEndian.AppendUint64(page, r.Offset)
	page = binary.BigEndian.AppendUint64(page, r.Length)
	return append(page, r.Digest[:]...)
}

// lineRange finds task i in its page and makes it an input.
func lineRange(l *Lines, i uint64, page []byte) (InputRange, error) {
	k := int(i % LinesPerPage)
	want := int(min(LinesPerPage, l.Tasks-i+uint64(k)))
	if len(page) != want*lineEntrySize {
		return InputRange{}, fmt.Errorf("%w: page of %d bytes, want %d", ErrBadIndex, len(page), want*lineEntrySize)
	}
	e := page[k*lineEntrySize : (k+1)*lineEntrySize]
	offset, length := binary.BigEndian.Uint64(e), binary.BigEndian.Uint64(e[8:])
	size := uint64(l.Size)
	if length == 0 || offset > size || length > size-offset {
		return InputRange{}, fmt.Errorf("%w: entry %d lies outside of the file", ErrBadIndex, k)
	}
	return InputRange{
		Path: l.Path, Blob: l.Blob, Digest: Digest(e[16:]),
		Offset: int64(offset), Length: int64(length),
	}, nil
}
