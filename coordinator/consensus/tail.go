package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/hashicorp/raft-wal/types"
)

// The form of a file of the log, as raft-wal writes it: a header, then frames,
// of which each write ends with a commit that has a checksum of the bytes since
// the one before. Behind the last write there are zeros.
const (
	walHeader      = 32
	walFrameHeader = 8

	walFrameEntry  = 1
	walFrameIndex  = 2
	walFrameCommit = 3
)

// cutTorn overwrites with zeros what is behind the last write that is whole: a
// process or a machine died while it wrote that, and nobody was told that it
// is there. raft-wal, up to 0.4.2, leaves it: a torn index, found when the log
// is opened, makes it refuse, for ever, to write to the file; and what a
// shorter write does not cover may be taken for a frame of it later on.
func cutTorn(f types.WritableFile) error {
	b, err := readFile(f)
	if err != nil {
		return err
	}
	whole := lastCommit(b)
	torn := b[whole:]
	end := len(torn)
	for end > 0 && torn[end-1] == 0 {
		end--
	}
	if end == 0 {
		return nil
	}
	if _, err := f.WriteAt(make([]byte, end), int64(whole)); err != nil {
		return fmt.Errorf("clearing a write that was cut off: %w", err)
	}
	return f.Sync()
}

// readFile reads a file of the log, which is segmentBytes long and a little.
func readFile(f types.ReadableFile) ([]byte, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// lastCommit is where the last write ends that is whole; 0 if none is.
func lastCommit(b []byte) int {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	last, from := 0, 0
	for at := walHeader; at+walFrameHeader <= len(b); {
		value := binary.LittleEndian.Uint32(b[at+4:])
		switch b[at] {
		case walFrameEntry, walFrameIndex:
			at += walFrameHeader + (int(value)+walFrameHeader-1)/walFrameHeader*walFrameHeader
		case walFrameCommit:
			if crc32.Checksum(b[from:at], castagnoli) == value {
				last = at + walFrameHeader
			}
			at += walFrameHeader
			from = at
		default:
			return last
		}
	}
	return last
}
