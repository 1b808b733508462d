package segments

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

// resum gives a segment's header the checksum that fits.
func resum(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b[:20], crc32.Checksum(b[:20], castagnoli))
}

// A header that one bit was flipped in is read as it was.
func TestMendHeader(t *testing.T) {
	at := location{77, 12345}
	want := recordHeader{kind: kindBlob, length: 4711, sum: 0xdeadbeef, digest: task.Sum([]byte("x"))}
	b := want.append(nil, at)
	if len(b) != recordHeaderSize {
		t.Fatalf("a header of %d bytes, want %d", len(b), recordHeaderSize)
	}
	if got, ok := parseHeader(b, at); !ok || got != want {
		t.Errorf("parsed %+v (%v), want %+v", got, ok, want)
	}
	placed := append([]byte{0, 0, 0, 77, 0, 0, 0x30, 0x39}, b[:recordHeaderSize-4]...)
	if got, want := headerSum(b, at), crc32.Checksum(placed, castagnoli); got != want {
		t.Errorf("its sum is %08x, want %08x", got, want)
	}
	if _, ok := parseHeader(b, location{77, 12346}); ok {
		t.Error("it was read at a place that is not its own")
	}
	for bit := range 8 * recordHeaderSize {
		b[bit/8] ^= 1 << (bit % 8)
		if _, ok := parseHeader(b, at); ok {
			t.Errorf("bit %d: not found", bit)
		}
		if got, ok := mendHeader(b, at); !ok || got != want {
			t.Errorf("bit %d: mended %+v (%v), want %+v", bit, got, ok, want)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
}

func TestSegmentNames(t *testing.T) {
	for name, want := range map[string]uint32{
		"00000001.segment": 1, "0000000a.segment": 10, "ffffffff.segment": 0xffffffff,
		"00000000.segment": 0, "0000000A.segment": 0, "1.segment": 0, "00000001": 0, "+0000001.segment": 0,
		"00000001.segment.segment": 0, "100000001.segment": 0, "lock": 0, "": 0,
	} {
		if got, ok := parseSegmentName(name); ok != (want > 0) || ok && got != want {
			t.Errorf("%q: %d, %v, want %d", name, got, ok, want)
		}
	}
}

// Whatever a file holds, the scan covers it once from the front to the back,
// and what it calls whole is.
func FuzzScan(f *testing.F) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		f.Fatal(err)
	}
	h := newHistory()
	h.put(s, texts(0, 2)...)
	h.drop(s, texts(0, 1)...)
	h.put(s, texts(2, 3)...)
	whole := disk.now[segmentName(1)].now
	f.Add(whole, uint16(0), byte(0))
	f.Add(whole, uint16(30), byte(0xff))
	f.Add(whole[:len(whole)-9], uint16(len(whole)/2), byte(1))
	f.Add([]byte{}, uint16(0), byte(0))
	f.Add(bytes.Repeat([]byte(recordMark), 60), uint16(3), byte(3))
	f.Fuzz(func(t *testing.T, b []byte, at uint16, flip byte) {
		b = bytes.Clone(b)
		if int(at) < len(b) {
			b[at] ^= flip
		}
		scan := newScanner(bytes.NewReader(b), 1, int64(len(b)))
		for next := int64(segmentHeaderSize); ; {
			f, err := scan.next()
			if errors.Is(err, io.EOF) {
				if next < int64(len(b)) {
					t.Errorf("ended at %d of %d", next, len(b))
				}
				break
			}
			if err != nil || f.offset != next || f.size <= 0 || next+f.size > int64(len(b)) {
				t.Fatalf("at %d of %d: %d bytes from %d (%v)", next, len(b), f.size, f.offset, err)
			}
			if !f.gap && !f.damaged && crc32.Checksum(f.body, castagnoli) != f.header.sum {
				t.Errorf("at %d: called whole", next)
			}
			next += f.size
		}
		disk := newSimDisk()
		disk.now[segmentName(1)] = &simNode{now: b}
		s, err := openSim(disk)
		if err != nil {
			return
		}
		h := newHistory()
		h.put(s, texts(0, 3)...)
		h.compact(s)
		if len(h.errs) > 0 {
			t.Fatal(h.errs)
		}
		wantIntact(t, s, h)
	})
}
