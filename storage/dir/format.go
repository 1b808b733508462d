package dir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

const (
	fileMagic   = "sheafblb"
	fileVersion = 1
	chunkShift  = 20 // storage.ChunkSize is 1 << chunkShift

	headerSize = 56
	entrySize  = 56
	crcSize    = 4
)

// How a chunk is stored.
const (
	encodingRaw  = 0
	encodingZstd = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is how a file begins.
type header struct {
	digest task.Digest
	size   int64
}

func (h header) append(b []byte) []byte {
	start := len(b)
	b = append(b, fileMagic...)
	b = append(b, fileVersion, chunkShift, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(h.size))
	b = append(b, h.digest[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseHeader reads what append wrote, and checks that it fits a file of
// fileSize bytes that is named by want.
func parseHeader(b []byte, want task.Digest, fileSize int64) (header, error) {
	if len(b) != headerSize {
		return header{}, errors.New("the file is too short")
	}
	if binary.BigEndian.Uint32(b[headerSize-crcSize:]) != crc32.Checksum(b[:headerSize-crcSize], castagnoli) {
		return header{}, errors.New("its header fails the checksum")
	}
	if string(b[:8]) != fileMagic || b[8] != fileVersion || b[9] != chunkShift || b[10] != 0 || b[11] != 0 {
		return header{}, fmt.Errorf("its header % x names a format that this version of sheaf does not know", b[:12])
	}
	h := header{digest: task.Digest(b[20:52])}
	size := binary.BigEndian.Uint64(b[12:])
	if size > uint64(storage.MaxBlobSize) {
		return header{}, fmt.Errorf("its header claims %d bytes", size)
	}
	h.size = int64(size)
	if h.digest != want {
		return header{}, fmt.Errorf("it holds blob %s", h.digest)
	}
	// A chunk takes at least one byte; the longest, all of its own.
	least, most := headerSize+h.chunks()*(entrySize+1), maxFileSize(h.size)
	if fileSize < least || fileSize > most {
		return header{}, fmt.Errorf("the file has %d bytes where a blob of %d takes %d to %d", fileSize, h.size, least, most)
	}
	return h, nil
}

// chunks is how many chunks the blob has.
func (h header) chunks() int64 { return (h.size + storage.ChunkSize - 1) / storage.ChunkSize }

// chunkLen is how many bytes of the blob chunk i holds.
func (h header) chunkLen(i int64) int {
	return int(min(storage.ChunkSize, h.size-i*storage.ChunkSize))
}

// tableOffset is where the table begins in a file of fileSize bytes.
func (h header) tableOffset(fileSize int64) int64 { return fileSize - h.chunks()*entrySize }

// maxFileSize is how large the file of a blob of size bytes can become.
func maxFileSize(size int64) int64 {
	return headerSize + size + header{size: size}.chunks()*entrySize
}

// entry is one line of a file's table.
type entry struct {
	offset   int64 // in the file
	length   int   // in the file, bytes
	encoding byte
	crc      uint32      // of the stored bytes
	sum      task.Digest // of the chunk itself
}

func (e entry) append(b []byte, blob task.Digest, i int64) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(e.offset))
	b = binary.BigEndian.AppendUint32(b, uint32(e.length))
	b = append(b, e.encoding, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, e.crc)
	b = append(b, e.sum[:]...)
	return binary.BigEndian.AppendUint32(b, entryCRC(blob, i, b[start:]))
}

// entryCRC ties an entry to its blob and its place: one that a disk wrote to
// the wrong spot does not pass.
func entryCRC(blob task.Digest, i int64, fields []byte) uint32 {
	var place [len(blob) + 8]byte
	copy(place[:], blob[:])
	binary.BigEndian.PutUint64(place[len(blob):], uint64(i))
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, fields)
}

// parseEntry reads what append wrote for chunk i, and checks that it points
// into the file.
func parseEntry(b []byte, h header, i, fileSize int64) (entry, error) {
	fields := b[:entrySize-crcSize]
	if binary.BigEndian.Uint32(b[entrySize-crcSize:]) != entryCRC(h.digest, i, fields) {
		return entry{}, errors.New("its entry in the table fails the checksum")
	}
	offset, length := binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint32(b[8:]))
	e := entry{
		offset: int64(offset), length: int(length), encoding: b[12],
		crc: binary.BigEndian.Uint32(b[16:]), sum: task.Digest(b[20:52]),
	}
	table, want := h.tableOffset(fileSize), int64(h.chunkLen(i))
	switch {
	case offset < headerSize || offset > uint64(table) || length > table-e.offset:
		return entry{}, fmt.Errorf("its entry points to bytes %d to %d, outside of the chunks", offset, offset+uint64(length))
	case b[13] != 0 || b[14] != 0 || b[15] != 0:
		return entry{}, errors.New("its entry has bits that this version of sheaf does not know")
	case e.encoding == encodingRaw && length == want, e.encoding == encodingZstd && length > 0 && length < want:
		return e, nil
	}
	return entry{}, fmt.Errorf("its entry has encoding %d and %d bytes for a chunk of %d", e.encoding, length, want)
}
