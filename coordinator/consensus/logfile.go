package consensus

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// What follows reads the files of raft-wal by itself, and every byte of them:
// raft-wal verifies the last batch of the last file only. A bit that flipped
// elsewhere would be noticed late, or, in the number, term or kind of an entry,
// never.
//
// A file begins with 32 bytes: magic, version, the number of its first entry, its
// own number, codec. Frames follow, each a header of 8 bytes (a kind, three
// zeroes, a length) and so many bytes, padded to a multiple of 8: entries, when
// the file is full an index, and behind what was written together a commit, which
// in place of the length has the CRC-32C of everything since the commit before.
const (
	logHeader   = 32
	logFrame    = 8
	logMagic    = 0x58eb6b0d
	frameOfLog  = 1
	frameOfOnes = 2 // the index
	frameCommit = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// logFile is one file of the log, read whole.
type logFile struct {
	path    string
	info    types.SegmentInfo
	entries [][]byte // from info.BaseIndex on, as far as they are committed
	torn    int64    // bytes behind them that a write left that did not end
}

// sealed reports whether the file is full, or cut off: then it does not change.
func (f *logFile) sealed() bool { return !f.info.SealTime.IsZero() }

// last is the number of the last entry; BaseIndex-1 if there is none.
func (f *logFile) last() uint64 {
	last := f.info.BaseIndex + uint64(len(f.entries)) - 1
	if f.sealed() {
		last = min(last, f.info.MaxIndex)
	}
	return last
}

// readLogFile reads and checks one file. Its error wraps ErrDamaged.
func readLogFile(dir string, info types.SegmentInfo) (*logFile, error) {
	f := &logFile{path: filepath.Join(dir, segment.FileName(info)), info: info}
	b, err := os.ReadFile(f.path)
	if os.IsNotExist(err) && !f.sealed() {
		return f, nil // it was about to be made
	}
	if err != nil {
		return f, fmt.Errorf("log: %w: %w", ErrDamaged, err)
	}
	end, damage := f.scan(b)
	switch {
	case f.sealed() && f.last() < info.MaxIndex:
		if damage == "" {
			damage = "it ends there"
		}
		return f, f.damaged(end, fmt.Sprintf("entries %d to %d are lost: %s", max(f.last()+1, info.MinIndex), info.MaxIndex, damage))
	case f.sealed() && info.IndexStart > uint64(end):
		return f, f.damaged(end, "its index is lost: "+cmp.Or(damage, "it ends there"))
	case f.sealed():
		return f, nil // what follows was cut off
	case damage != "":
		if at, ok := laterBatch(b, end); ok {
			return f, f.damaged(end, fmt.Sprintf("entry %d and those after it: %s, and what was written later is whole (byte %d)", f.last()+1, damage, at))
		}
		f.torn = int64(len(b)) - int64(end)
	}
	return f, nil
}

func (f *logFile) damaged(at int, text string) error {
	return fmt.Errorf("log %s: %w: at byte %d: %s", f.path, ErrDamaged, at, text)
}

// scan collects the entries of all batches up to the first that is not whole. It
// returns where that begins, and what is wrong with it: nothing where there are
// only zeroes, or nothing at all.
func (f *logFile) scan(b []byte) (end int, damage string) {
	if len(b) < logHeader {
		return 0, "it has no header"
	}
	head := binary.LittleEndian.Uint64(b) == logMagic && binary.LittleEndian.Uint64(b[8:]) == f.info.BaseIndex &&
		binary.LittleEndian.Uint64(b[16:]) == f.info.ID && binary.LittleEndian.Uint64(b[24:]) == f.info.Codec
	for from := 0; ; {
		batch, next, why := readBatch(b, from)
		if why == "" && next > from && !head {
			return 0, "its header is not the one that it was made with"
		}
		if why != "" || next == from {
			return from, why
		}
		f.entries = append(f.entries, batch...)
		from = next
	}
}

// readBatch reads the frames from an offset to the next commit. Where nothing is
// written it returns the same offset.
func readBatch(b []byte, from int) (entries [][]byte, next int, damage string) {
	at := max(from, logHeader)
	for {
		if len(b)-at < logFrame {
			if at == max(from, logHeader) {
				return nil, from, ""
			}
			return nil, from, "it ends in the middle"
		}
		kind, number := b[at], binary.LittleEndian.Uint32(b[at+4:])
		switch {
		case b[at+1]|b[at+2]|b[at+3] != 0 || kind > frameCommit || kind == 0 && number != 0:
			return nil, from, fmt.Sprintf("at byte %d there is no frame", at)
		case kind == 0 && at == max(from, logHeader):
			return nil, from, ""
		case kind == 0:
			return nil, from, fmt.Sprintf("at byte %d the bytes end", at)
		case kind == frameCommit:
			if crc := crc32.Checksum(b[from:at], castagnoli); crc != number {
				return nil, from, fmt.Sprintf("the checksum at byte %d is %08x, the bytes give %08x", at, number, crc)
			}
			return entries, at + logFrame, ""
		case int64(number) > int64(len(b)-at-logFrame):
			return nil, from, fmt.Sprintf("the frame at byte %d is longer than the file", at)
		case kind == frameOfLog:
			entries = append(entries, b[at+logFrame:at+logFrame+int(number)])
		}
		at += logFrame + (int(number)+7)/8*8
	}
}

// maxBatchTries is how many places are tried that may be the beginning of a batch;
// the first one of a log that was not made up is one.
const maxBatchTries = 256

// laterBatch looks for a batch that is whole behind one that is not. Each is on
// the disk before the next one is written: a power cut cannot leave that.
func laterBatch(b []byte, from int) (at int, ok bool) {
	tries := 0
	for at := max(from, logHeader); at+2*logFrame <= len(b); at += logFrame {
		if b[at] != frameCommit || b[at+1]|b[at+2]|b[at+3] != 0 || b[at+logFrame] != frameOfLog {
			continue
		}
		// What entries hold is a stranger's, and may be made to look like this a
		// thousand times over.
		if tries++; tries > maxBatchTries {
			return 0, false
		}
		if entries, _, damage := readBatch(b, at+logFrame); damage == "" && len(entries) > 0 {
			return at + logFrame, true
		}
	}
	return 0, false
}
