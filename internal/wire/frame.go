package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// ErrMalformed is wrapped by every refusal of bytes in this package.
var ErrMalformed = errors.New("malformed bytes")

// headerSize is the bytes before a frame's payload: two of magic, one of
// version, kind (16 bits), length (32) and CRC-32C of kind, length and payload (32).
const headerSize = 2 + 1 + 2 + 4 + 4

const (
	magic0, magic1 = 0x53, 0xf5 // 'S' and a byte that no UTF-8 text contains
	frameVersion   = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Seal puts a payload of some kind into a frame that Open and ReadFrame check.
// Kinds are numbered by those who use them and never reused.
func Seal(kind uint16, payload []byte) []byte {
	b := make([]byte, headerSize, headerSize+len(payload))
	putHeader(b, kind, payload)
	return append(b, payload...)
}

func putHeader(b []byte, kind uint16, payload []byte) {
	b[0], b[1], b[2] = magic0, magic1, frameVersion
	binary.BigEndian.PutUint16(b[3:], kind)
	binary.BigEndian.PutUint32(b[5:], uint32(len(payload)))
	crc := crc32.Update(crc32.Checksum(b[3:9], castagnoli), castagnoli, payload)
	binary.BigEndian.PutUint32(b[9:], crc)
}

// Open checks a frame that is exactly b and returns its payload, which shares
// b's memory. A payload above limit bytes is refused before it is looked at.
func Open(b []byte, limit int) (kind uint16, payload []byte, err error) {
	if len(b) < headerSize {
		return 0, nil, fmt.Errorf("%w: %d bytes are no frame", ErrMalformed, len(b))
	}
	kind, size, err := readHeader(b, limit)
	if err != nil {
		return 0, nil, err
	}
	if size != len(b)-headerSize {
		return 0, nil, fmt.Errorf("%w: frame says %d bytes, %d are there", ErrMalformed, size, len(b)-headerSize)
	}
	return kind, b[headerSize:], checkSum(b[:headerSize], b[headerSize:])
}

// ReadFrame reads one frame from a stream. It returns io.EOF only where a
// frame could have begun, and io.ErrUnexpectedEOF inside of one.
func ReadFrame(r io.Reader, limit int) (kind uint16, payload []byte, err error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	kind, size, err := readHeader(head[:], limit)
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, fmt.Errorf("frame of %d bytes: %w", size, err)
	}
	return kind, payload, checkSum(head[:], payload)
}

// WriteFrame writes what ReadFrame reads.
func WriteFrame(w io.Writer, kind uint16, payload []byte) error {
	var head [headerSize]byte
	putHeader(head[:], kind, payload)
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

func readHeader(b []byte, limit int) (kind uint16, size int, err error) {
	if b[0] != magic0 || b[1] != magic1 {
		return 0, 0, fmt.Errorf("%w: not a Sheaf frame (it begins with %x)", ErrMalformed, b[:2])
	}
	if b[2] != frameVersion {
		return 0, 0, fmt.Errorf("%w: frame of version %d, this program knows version %d; it was written by a newer one", ErrMalformed, b[2], frameVersion)
	}
	n := binary.BigEndian.Uint32(b[5:])
	if uint64(n) > uint64(limit) {
		return 0, 0, fmt.Errorf("%w: frame of %d bytes, at most %d are allowed here", ErrMalformed, n, limit)
	}
	return binary.BigEndian.Uint16(b[3:]), int(n), nil
}

func checkSum(head, payload []byte) error {
	crc := crc32.Update(crc32.Checksum(head[3:9], castagnoli), castagnoli, payload)
	if want := binary.BigEndian.Uint32(head[9:]); crc != want {
		return fmt.Errorf("%w: checksum of the frame is %08x, its bytes give %08x", ErrMalformed, want, crc)
	}
	return nil
}
