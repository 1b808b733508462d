package segments

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/sheafgrid/sheaf/task"
)

const (
	segmentMagic      = "sheafseg"
	segmentVersion    = 2
	segmentHeaderSize = 24
	segmentSuffix     = ".segment"

	recordMark       = "\xb1\x73\x72\x9c"
	recordHeaderSize = 56
	maxBody          = MaxBlobSize

	kindBlob  = 1
	kindNotes = 2

	noteSize = 8
	maxNotes = maxBody / noteSize // in one record
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// location is where a record begins. Segment 0 is nowhere.
type location struct {
	segment, offset uint32
}

// recordHeader is what stands before a body.
type recordHeader struct {
	kind   byte
	length int // of the body
	sum    uint32
	digest task.Digest
	group  uint64
}

// size is that of the whole record.
func (h recordHeader) size() int64 { return recordHeaderSize + int64(h.length) }

// matches compares a body with its CRC.
func (h recordHeader) matches(body []byte) bool {
	return len(body) == h.length && crc32.Checksum(body, castagnoli) == h.sum
}

// proves compares a body with its SHA-256.
func (h recordHeader) proves(body []byte) bool {
	return len(body) == h.length && task.Sum(body) == h.digest
}

// append adds the header, for a record at the given place.
func (h recordHeader) append(b []byte, at location) []byte {
	start := len(b)
	b = append(b, recordMark...)
	b = append(b, h.kind, byte(h.length>>16), byte(h.length>>8), byte(h.length))
	b = binary.BigEndian.AppendUint32(b, h.sum)
	b = append(b, h.digest[:]...)
	b = binary.BigEndian.AppendUint64(b, h.group)
	return binary.BigEndian.AppendUint32(b, headerSum(b[start:], at))
}

// headerSum binds a header to its place, so that bytes of a segment inside a
// blob do not pass for records.
func headerSum(b []byte, at location) uint32 {
	place := ^uint32(0) // by hand, since a buffer given to crc32 would be one on the heap
	for _, v := range [2]uint32{at.segment, at.offset} {
		for shift := 24; shift >= 0; shift -= 8 {
			place = castagnoli[byte(place)^byte(v>>shift)] ^ place>>8
		}
	}
	return crc32.Update(^place, castagnoli, b[:recordHeaderSize-4])
}

// parseHeader reads the header at the front of b. ok is false for what is none.
func parseHeader(b []byte, at location) (h recordHeader, ok bool) {
	if len(b) < recordHeaderSize || string(b[:4]) != recordMark || headerSum(b, at) != binary.BigEndian.Uint32(b[recordHeaderSize-4:]) {
		return recordHeader{}, false
	}
	h = recordHeader{
		kind:   b[4],
		length: int(b[5])<<16 | int(b[6])<<8 | int(b[7]),
		sum:    binary.BigEndian.Uint32(b[8:]),
		digest: task.Digest(b[12:44]),
		group:  binary.BigEndian.Uint64(b[44:]),
	}
	known := h.kind == kindBlob || h.kind == kindNotes && h.length%noteSize == 0
	return h, known && h.length <= maxBody
}

// mendHeader reads a header in which one bit has flipped. The caller must
// compare the body with the SHA-256, since a guess can be wrong.
func mendHeader(b []byte, at location) (h recordHeader, ok bool) {
	if len(b) < recordHeaderSize {
		return recordHeader{}, false
	}
	flipped := [recordHeaderSize]byte(b)
	for bit := range 8 * recordHeaderSize {
		flipped[bit/8] ^= 1 << (bit % 8)
		if h, ok := parseHeader(flipped[:], at); ok {
			return h, true
		}
		flipped[bit/8] ^= 1 << (bit % 8)
	}
	return recordHeader{}, false
}

// appendNotes adds the body of a record of notes.
func appendNotes(b []byte, notes []location) []byte {
	for _, n := range notes {
		b = binary.BigEndian.AppendUint32(b, n.segment)
		b = binary.BigEndian.AppendUint32(b, n.offset)
	}
	return b
}

// parseNotes reads the body of a record of notes, which parseHeader has found
// to have a possible length.
func parseNotes(body []byte) []location {
	notes := make([]location, 0, len(body)/noteSize)
	for ; len(body) >= noteSize; body = body[noteSize:] {
		notes = append(notes, location{segment: binary.BigEndian.Uint32(body), offset: binary.BigEndian.Uint32(body[4:])})
	}
	return notes
}

// segmentHeader is what a segment begins with.
func segmentHeader(number uint32) []byte {
	b := append(make([]byte, 0, segmentHeaderSize), segmentMagic...)
	b = append(b, segmentVersion, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, number)
	b = append(b, 0, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var errDamagedHeader = errors.New("the segment's header is damaged")

// checkSegmentHeader reports what is wrong with how a segment begins:
// errDamagedHeader, or that it is whole and not for us.
func checkSegmentHeader(b []byte, number uint32) error {
	if len(b) < segmentHeaderSize || string(b[:8]) != segmentMagic || b[8] == 0 ||
		crc32.Checksum(b[:20], castagnoli) != binary.BigEndian.Uint32(b[20:]) {
		return errDamagedHeader
	}
	if v := b[8]; v > segmentVersion {
		return fmt.Errorf("%s was made by a newer version of sheaf (its format is %d, this version knows %d); update sheaf", segmentName(number), v, segmentVersion)
	}
	if n := binary.BigEndian.Uint32(b[12:]); n != number {
		return fmt.Errorf("%s is segment %d by its name and %d by its content; put back the name it had", segmentName(number), number, n)
	}
	return nil
}

func segmentName(number uint32) string { return fmt.Sprintf("%08x%s", number, segmentSuffix) }

// parseSegmentName reads the name of a segment's file. ok is false for others.
func parseSegmentName(name string) (number uint32, ok bool) {
	hex, _ := strings.CutSuffix(name, segmentSuffix)
	n, err := strconv.ParseUint(hex, 16, 32)
	return uint32(n), err == nil && n > 0 && segmentName(uint32(n)) == name
}
