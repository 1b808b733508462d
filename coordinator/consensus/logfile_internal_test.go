package consensus

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/hashicorp/raft-wal/types"
)

// logOf is a file of the log with batches of entries.
func logOf(batches ...[]string) []byte {
	b := make([]byte, logHeader)
	binary.LittleEndian.PutUint64(b, logMagic)
	binary.LittleEndian.PutUint64(b[8:], 1)
	from := 0
	for _, batch := range batches {
		for _, e := range batch {
			b = append(b, frameOfLog, 0, 0, 0)
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(e))), e...)
			b = append(b, make([]byte, (8-len(e)%8)%8)...)
		}
		crc := crc32.Checksum(b[from:], castagnoli)
		b = binary.LittleEndian.AppendUint32(append(b, frameCommit, 0, 0, 0), crc)
		from = len(b)
	}
	return b
}

func TestScanTellsTornFromDamaged(t *testing.T) {
	whole := logOf([]string{"one", "two"}, []string{"three"}, []string{"four", "five"})
	for _, c := range []struct {
		name    string
		change  func(b []byte) []byte
		entries int
		damaged bool // something later is whole
	}{
		{"as written", func(b []byte) []byte { return append(b, make([]byte, 100)...) }, 5, false},
		{"last write torn", func(b []byte) []byte { b[len(b)-10] = 0xff; return b }, 3, false},
		{"last write cut", func(b []byte) []byte { return b[:len(b)-9] }, 3, false},
		{"first entry changed", func(b []byte) []byte { b[logHeader+logFrame]++; return b }, 0, true},
		{"second write changed", func(b []byte) []byte { b[80]++; return b }, 2, true},
		{"header changed", func(b []byte) []byte { b[8]++; return b }, 0, true},
	} {
		b := c.change(append([]byte(nil), whole...))
		f := &logFile{info: types.SegmentInfo{BaseIndex: 1}}
		end, damage := f.scan(b)
		_, later := laterBatch(b, end)
		if len(f.entries) != c.entries || (damage != "" && later) != c.damaged {
			t.Errorf("%s: %d entries, damage %q, something later is whole: %v; want %d entries, damaged %v", c.name, len(f.entries), damage, later, c.entries, c.damaged)
		}
	}
}

func FuzzScanLog(f *testing.F) {
	f.Add(logOf([]string{"one", "two"}, []string{"three"}))
	f.Add(logOf())
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &logFile{info: types.SegmentInfo{BaseIndex: 1}}
		end, _ := l.scan(b)
		if end > len(b) {
			t.Errorf("the end is %d of %d", end, len(b))
		}
		laterBatch(b, end)
	})
}
