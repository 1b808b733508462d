package segments

import (
	"bytes"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

// smallStore is a store of two segments, the first of them with notes.
func smallStore(t *testing.T) (*simDisk, *history) {
	t.Helper()
	disk := newSimDisk()
	h := newHistory()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h.put(s, texts(0, 3)...)
	h.put(s, texts(0, 1)...) // noted with the next
	h.put(s, texts(3, 4)...)
	h.drop(s, texts(1, 2)...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = openSim(disk); err != nil {
		t.Fatal(err)
	}
	h.put(s, texts(10, 12)...)
	if err := s.Close(); err != nil || len(h.errs) > 0 || len(disk.now) != 2 {
		t.Fatalf("%v, %v, %d segments", err, h.errs, len(disk.now))
	}
	return disk, h
}

// copyOf returns a disk with the same files, all of them synced.
func (d *simDisk) copyOf() *simDisk {
	c := newSimDisk()
	for name, n := range d.now {
		c.now[name] = &simNode{now: slices.Clone(n.now), synced: slices.Clone(n.now)}
		c.synced[name] = c.now[name]
	}
	return c
}

// One bit that flips anywhere is found, costs one blob at most, and reading
// that one says so.
func TestEveryFlippedBit(t *testing.T) {
	whole, h := smallStore(t)
	for name, node := range whole.now {
		for bit := range 8 * len(node.now) {
			disk := whole.copyOf()
			disk.now[name].now[bit/8] ^= 1 << (bit % 8)
			s, err := openSim(disk)
			if err != nil {
				t.Fatalf("%s, bit %d: %v", name, bit, err)
			}
			corrupt := int64(0)
			for d, want := range h.acknowledged {
				got, err := s.Get(t.Context(), d, MaxBlobSize)
				switch {
				case errors.Is(err, storage.ErrCorrupt):
					corrupt++
				case err != nil || !bytes.Equal(got, want):
					t.Fatalf("%s, bit %d: %v", name, bit, err)
				}
			}
			if d := s.Damage(); d == (Damage{}) || corrupt > 1 || corrupt > d.Blobs || d.CutBytes > 0 {
				t.Fatalf("%s, bit %d: %d corrupt, damage %+v", name, bit, corrupt, d)
			}
		}
	}
}

// A bit that flips while the store is open is found too, and a Put mends it.
func TestFlippedWhileOpen(t *testing.T) {
	whole, h := smallStore(t)
	for name, node := range whole.now {
		for at := segmentHeaderSize; at < len(node.now); at += 7 {
			disk := whole.copyOf()
			s, err := openSim(disk)
			if err != nil {
				t.Fatal(err)
			}
			disk.now[name].now[at] ^= 0x55 // more than one bit, beyond mending
			for d, want := range h.acknowledged {
				got, err := s.Get(t.Context(), d, MaxBlobSize)
				if err == nil && bytes.Equal(got, want) {
					continue
				}
				if !errors.Is(err, storage.ErrCorrupt) {
					t.Fatalf("%s, byte %d: %v", name, at, err)
				}
				if err := s.Put(t.Context(), small(want)); err != nil {
					t.Fatal(err)
				}
				if got, err = s.Get(t.Context(), d, MaxBlobSize); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s, byte %d, put again: %v", name, at, err)
				}
			}
			h.compact(s)
			wantIntact(t, s, h)
		}
	}
}

// What follows damage of any length is found again.
func TestGaps(t *testing.T) {
	disk := newSimDisk()
	h := newHistory()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h.put(s, texts(0, 40)...)
	first := segmentName(1)
	size := len(disk.now[first].now)
	for _, c := range []struct{ name, what string }{{"zeros", "\x00"}, {"marks", recordMark}, {"ones", "\xff"}} {
		for from := 0; from < size-600; from += 397 {
			bad := disk.copyOf()
			copy(bad.now[first].now[from:from+600], strings.Repeat(c.what, 600))
			bad.now[segmentName(2)] = &simNode{now: segmentHeader(2)}
			s, err := openSim(bad)
			if err != nil {
				t.Fatal(err)
			}
			lost := 0
			for d, want := range h.acknowledged {
				got, err := s.Get(t.Context(), d, MaxBlobSize)
				if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrCorrupt) {
					lost++
				} else if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s from %d: %v", c.name, from, err)
				}
			}
			if d := s.Damage(); lost > 8 || lost > 0 && d.LostBytes+d.Blobs == 0 || d.CutBytes > 0 {
				t.Errorf("%s from %d: %d blobs lost, damage %+v", c.name, from, lost, d)
			}
			wantCounts(t, s, s.Usage().Blobs)
		}
	}
}

// A stranger's blob that looks like records must not become records, even when
// damage lets the search begin inside of it: neither notes nor false blobs.
func TestForgedRecords(t *testing.T) {
	victim := texts(0, 1)[0]
	const offset = segmentHeaderSize
	// Where the forger's bytes will stand is known to it.
	body := location{1, offset + recordHeaderSize + uint32(len(victim)) + recordHeaderSize}
	var forged []byte
	add := func(kind byte, digest task.Digest, b []byte) {
		at := location{1, body.offset + uint32(len(forged))}
		h := recordHeader{kind: kind, length: len(b), sum: crc32.Checksum(b, castagnoli), digest: digest}
		forged = append(h.append(forged, at), b...)
	}
	own, notes := []byte("a blob of the forger's own"), appendNotes(nil, []location{{1, offset}})
	add(kindBlob, task.Sum(own), own)
	add(kindNotes, task.Sum(notes), notes)
	add(kindBlob, task.Sum(victim), []byte("false"))

	disk := newSimDisk()
	h := newHistory()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h.put(s, victim, forged)
	h.put(s, texts(5, 8)...)
	for _, damage := range []string{"none", "a bit", "the header"} {
		bad := disk.copyOf()
		b := bad.now[segmentName(1)].now[body.offset-recordHeaderSize:]
		switch damage {
		case "a bit":
			b[6] ^= 2
		case "the header":
			clear(b[:recordHeaderSize])
		}
		s, err := openSim(bad)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range append(texts(5, 8), victim) {
			if got, err := s.Get(t.Context(), task.Sum(b), MaxBlobSize); err != nil || !bytes.Equal(got, b) {
				t.Errorf("damage of %s: %v", damage, err)
			}
		}
	}
}

// A torn copy of a blob must not hide the whole one.
func TestTornCopy(t *testing.T) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory()
	h.put(s, texts(0, 2)...)
	size := len(disk.now[segmentName(1)].now)
	h.put(s, texts(0, 1)...)
	h.put(s, texts(3, 4)...) // with the note that the first copy is dead
	torn := disk.now[segmentName(1)].now
	torn[size+recordHeaderSize+5]++
	if s, err = openSim(disk); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(t.Context(), task.Sum(texts(0, 1)[0]), MaxBlobSize)
	if !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("the newer copy is damaged and the older noted as dead: %v, want ErrCorrupt", err)
	}
	disk.now[segmentName(1)].now = torn[:size+recordHeaderSize+100] // the power was cut before the note
	if s, err = openSim(disk); err != nil {
		t.Fatal(err)
	}
	delete(h.acknowledged, task.Sum(texts(3, 4)[0]))
	wantIntact(t, s, h)
}

// A segment that cannot be read costs its own blobs, for as long as that lasts:
// they are not called missing, and all else goes on.
func TestUnreadableSegment(t *testing.T) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory()
	for i := range 6 {
		h.put(s, texts(10*i, 10*i+10)...)
	}
	for i := range 5 {
		h.drop(s, texts(10*i, 10*i+6)...)
	}
	disk.unreadable = segmentName(1)
	failed := 0
	for d := range h.acknowledged {
		if _, err := s.Get(t.Context(), d, MaxBlobSize); errors.Is(err, syscall.EIO) && !errors.Is(err, storage.ErrNotFound) {
			failed++
		} else if err != nil {
			t.Error(err)
		}
	}
	before := s.Usage().Bytes
	for range 10 {
		if _, err := s.Compact(t.Context()); err != nil {
			h.note(err)
		}
	}
	if len(h.errs) != 1 || !errors.Is(h.errs[0], syscall.EIO) || failed == 0 || s.Usage().Bytes >= before {
		t.Errorf("%d blobs unreadable; compact: %v, want one failure and room; %d bytes of %d", failed, h.errs, s.Usage().Bytes, before)
	}
	h.errs = nil
	h.put(s, texts(6, 8)...) // these were in it
	h.put(s, texts(70, 72)...)
	if _, err := openSim(disk); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), segmentName(1)) {
		t.Errorf("opened with a file that cannot be read: %v", err)
	}
	disk.unreadable = ""
	if wantIntact(t, s, h); len(h.errs) > 0 {
		t.Error(h.errs)
	}
	wantGoesOn(t, "readable again", disk, h)
}

func TestRefusedDirectories(t *testing.T) {
	newer := segmentHeader(1)
	newer[8] = 2
	newer = append(newer[:20], segmentHeader(1)[20:]...)
	for _, c := range []struct {
		name, file string
		content    []byte
		want       string // "" means that it is opened
	}{
		{"something else", "notes.txt", nil, `holds "notes.txt"`},
		{"a segment of another name", "1.segment", nil, `holds "1.segment"`},
		{"a hidden file", ".DS_Store", nil, ""},
		{"renamed", segmentName(2), segmentHeader(1), "segment 2 by its name and 1 by its content"},
		{"an empty segment", segmentName(7), nil, ""},
		{"half a header", segmentName(7), segmentHeader(7)[:13], ""},
		{"damaged version", segmentName(1), newer, ""},
		{"nothing but rubbish", segmentName(1), storagetest.Random(5000, 1), ""},
	} {
		disk := newSimDisk()
		disk.now[c.file] = &simNode{now: c.content}
		_, err := openSim(disk)
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	disk := newSimDisk()
	b := segmentHeader(1)
	b[8] = 9
	b = resum(b)
	disk.now[segmentName(1)] = &simNode{now: b}
	if _, err := openSim(disk); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("a newer version: %v", err)
	}
}
