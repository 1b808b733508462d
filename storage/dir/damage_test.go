package dir

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

// simStore is a store on a simulated disk, into whose files tests can write.
func simStore(t testing.TB) (*Store, *simDisk) {
	t.Helper()
	disk := newSimDisk()
	s, err := openOn(t.Context(), Config{Path: "sim", Coders: 1}, disk, func() error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return s, disk
}

func putSim(t testing.TB, s *Store, b []byte) task.Digest {
	t.Helper()
	d := task.Sum(b)
	if err := s.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	return d
}

// setFile puts bytes where a blob's file is, and forgets what was read before.
func setFile(t testing.TB, s *Store, disk *simDisk, d task.Digest, b []byte) {
	t.Helper()
	var all [shards]bool
	all[d[0]] = true
	if err := s.makeShards(&all); err != nil {
		t.Fatal(err)
	}
	disk.Put(blobName(d), b)
	s.cache = newCache(1)
}

func getFile(t testing.TB, disk *simDisk, d task.Digest) []byte {
	t.Helper()
	b, err := disk.Bytes(blobName(d))
	if err != nil {
		t.Fatalf("no file of %s: %v", d, err)
	}
	return bytes.Clone(b)
}

// wantDamage expects that a full read and a check both find the damage and
// name the blob.
func wantDamage(t *testing.T, s *Store, d task.Digest, what string, args ...any) {
	t.Helper()
	_, err := storage.ReadAll(t.Context(), s, d, 1<<30)
	for how, err := range map[string]error{"read": err, "verify": s.Verify(t.Context(), d)} {
		if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), d.String()) {
			t.Errorf(what+": %s: %v, want ErrCorrupt that names the blob", append(args, how, err)...)
		}
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	s, disk := simStore(t)
	for name, b := range map[string][]byte{
		"empty": {}, "raw": storagetest.Random(50, 1), "compressed": storagetest.Text(600, 2), "zeros": make([]byte, storage.ChunkSize),
	} {
		d := putSim(t, s, b)
		whole := getFile(t, disk, d)
		for bit := range 8 * len(whole) {
			flipped := bytes.Clone(whole)
			flipped[bit/8] ^= 1 << (bit % 8)
			setFile(t, s, disk, d, flipped)
			if wantDamage(t, s, d, "%s: bit %d of %d", name, bit, 8*len(whole)); t.Failed() {
				return
			}
		}
	}
}

func TestFlippedBitsOfALargeBlobAreFound(t *testing.T) {
	s, disk := simStore(t)
	b := append(storagetest.Text(storage.ChunkSize, 1), storagetest.Random(storage.ChunkSize/4, 2)...)
	d := putSim(t, s, b)
	whole := getFile(t, disk, d)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		flipped := bytes.Clone(whole)
		bit := rnd.IntN(8 * len(whole))
		flipped[bit/8] ^= 1 << (bit % 8)
		setFile(t, s, disk, d, flipped)
		if wantDamage(t, s, d, "bit %d of %d", bit, 8*len(whole)); t.Failed() {
			return
		}
	}
}

func TestOtherDamageIsFound(t *testing.T) {
	s, disk := simStore(t)
	b := append(storagetest.Text(2*storage.ChunkSize, 1), storagetest.Text(100, 2)...)
	d, other := putSim(t, s, b), putSim(t, s, storagetest.Text(100, 3))
	whole := getFile(t, disk, d)
	table := len(whole) - 3*entrySize
	swapped := bytes.Clone(whole)
	copy(swapped[table:], whole[table+entrySize:table+2*entrySize])
	copy(swapped[table+entrySize:], whole[table:table+entrySize])
	for name, file := range map[string][]byte{
		"nothing left":          {},
		"header cut":            whole[:headerSize-1],
		"only the header":       whole[:headerSize],
		"cut in a chunk":        whole[:table/2],
		"last byte gone":        whole[:len(whole)-1],
		"one entry gone":        whole[:len(whole)-entrySize],
		"one byte more":         append(bytes.Clone(whole), 0),
		"an entry more":         append(bytes.Clone(whole), whole[len(whole)-entrySize:]...),
		"zeros":                 make([]byte, len(whole)),
		"second half zeros":     append(bytes.Clone(whole[:len(whole)/2]), make([]byte, len(whole)-len(whole)/2)...),
		"entries swapped":       swapped,
		"another blob's file":   getFile(t, disk, other),
		"a text":                []byte(strings.Repeat("not a blob at all\n", 100)),
		"a byte within chunks":  slices.Insert(bytes.Clone(whole), table/2, 0),
		"a byte before a chunk": slices.Insert(bytes.Clone(whole), headerSize, 0),
	} {
		setFile(t, s, disk, d, file)
		wantDamage(t, s, d, "%s", name)
		if have, err := s.Has(t.Context(), d); !have || err != nil {
			t.Errorf("%s: has: %v, %v; a damaged blob is there until it is deleted", name, have, err)
		}
	}
	setFile(t, s, disk, d, whole[:headerSize])
	sizes := map[task.Digest]int64{}
	err := s.List(t.Context(), func(d task.Digest, size int64) error {
		sizes[d] = size
		return nil
	})
	if err != nil || sizes[d] != storage.UnknownSize || sizes[other] != 100 {
		t.Errorf("list: %v (%v), want the damaged one with %d", sizes, err, storage.UnknownSize)
	}
	putSim(t, s, b)
	if err := s.Verify(t.Context(), d); err != nil {
		t.Errorf("after it was put again: %v", err)
	}
}

// A range that does not touch the damage can be read; one that does, not.
func TestDamageStaysLocal(t *testing.T) {
	s, disk := simStore(t)
	b := storagetest.Random(3*storage.ChunkSize, 1)
	d := putSim(t, s, b)
	file := getFile(t, disk, d)
	file[headerSize+storage.ChunkSize+storage.ChunkSize/2] ^= 1
	setFile(t, s, disk, d, file)
	blob, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1000)
	for _, off := range []int64{0, storage.ChunkSize - 1000, 2 * storage.ChunkSize} {
		if _, err := blob.ReadAt(p, off); err != nil || !bytes.Equal(p, b[off:off+1000]) {
			t.Errorf("at %d: %v", off, err)
		}
	}
	n, err := blob.ReadAt(p, storage.ChunkSize-999)
	if n != 999 || !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "chunk 2 of 3") {
		t.Errorf("over the border: %d, %v, want 999 bytes and ErrCorrupt of chunk 2", n, err)
	}
}

// Files of this version must stay readable for ever. What zstd makes of a
// chunk may change with its version, so only what is stored as it is must come
// out the same again.
func TestFormatIsFrozen(t *testing.T) {
	const digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	const raw = "7368656166626c62" + "01" + "14" + "0000" + "0000000000000003" + digest + "779fff11" +
		"616263" +
		"0000000000000038" + "00000003" + "00" + "000000" + "364b3fb7" + digest + "fd4a733c"
	const compressed = "7368656166626c6201140000000000000000012c48d1f62d9ac7c553d76a0385b0f1e16ee8e8fe5b53e78bd88e0941337c5d" +
		"4d8676d31ede28b52ffd40002c0075000030736865616620015406032c230900000000000000380000001901000000f7fb08" +
		"8348d1f62d9ac7c553d76a0385b0f1e16ee8e8fe5b53e78bd88e0941337c5d4d864320a74d"
	s, disk := simStore(t)
	if got := hex.EncodeToString(getFile(t, disk, putSim(t, s, []byte("abc")))); got != raw {
		t.Errorf("file\n%s, want\n%s", got, raw)
	}
	for file, want := range map[string]string{raw: "abc", compressed: strings.Repeat("sheaf ", 50)} {
		old, err := hex.DecodeString(file)
		if err != nil {
			t.Fatal(err)
		}
		d := task.Sum([]byte(want))
		setFile(t, s, disk, d, old)
		if got, err := storage.ReadAll(t.Context(), s, d, 1000); string(got) != want || err != nil {
			t.Errorf("read %q, %v, want %q", got, err, want)
		}
		if err := s.Verify(t.Context(), d); err != nil {
			t.Error(err)
		}
	}
}

// mend gives a file the checksums that its bytes call for, so that fuzzing
// reaches what is behind them. It returns the digest that the header names.
func mend(b []byte) task.Digest {
	if len(b) < headerSize {
		return task.Digest{}
	}
	crc := func(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
	binary.BigEndian.PutUint32(b[headerSize-crcSize:], crc(b[:headerSize-crcSize]))
	d := task.Digest(b[20:52])
	h, err := parseHeader(b[:headerSize], d, int64(len(b)))
	if err != nil || h.chunks() > 100 {
		return d
	}
	for i := range h.chunks() {
		e := b[h.tableOffset(int64(len(b)))+i*entrySize:][:entrySize]
		offset, length := binary.BigEndian.Uint64(e), uint64(binary.BigEndian.Uint32(e[8:]))
		if offset <= uint64(len(b)) && length <= uint64(len(b))-offset {
			binary.BigEndian.PutUint32(e[16:], crc(b[offset:offset+length]))
		}
		binary.BigEndian.PutUint32(e[entrySize-crcSize:], entryCRC(d, i, e[:entrySize-crcSize]))
	}
	return d
}

// Files whose checksums are all right and that are wrong nevertheless: made by
// a program with a bug, or by somebody.
func TestForgedFilesAreFound(t *testing.T) {
	s, disk := simStore(t)
	const mib = storage.ChunkSize
	single, large := storagetest.Random(1000, 1), storagetest.Random(2*mib+1000, 2)
	zeros, table := make([]byte, 2*mib), headerSize+len(large)
	for _, c := range []struct {
		name  string
		blob  []byte
		forge func(file []byte) []byte
		reads bool // ranges can be read, and only Verify tells
	}{
		{"nothing", large, nil, true},
		{"other bytes of a single chunk", single, func(b []byte) []byte {
			b[headerSize] ^= 1
			sum := task.Sum(b[headerSize : headerSize+1000])
			copy(b[headerSize+1000+20:], sum[:])
			return b
		}, false},
		{"other bytes of one chunk of many", large, func(b []byte) []byte {
			b[headerSize] ^= 1
			sum := task.Sum(b[headerSize : headerSize+mib])
			copy(b[table+20:], sum[:])
			return b
		}, true},
		{"another digest of a chunk", large, func(b []byte) []byte {
			b[table+20] ^= 1
			return b
		}, false},
		{"unknown bits", large, func(b []byte) []byte {
			b[table+13] = 1
			return b
		}, false},
		{"an unknown encoding", large, func(b []byte) []byte {
			b[table+12] = 2
			return b
		}, false},
		{"zstd that is none", large, func(b []byte) []byte {
			b[table+12] = encodingZstd
			binary.BigEndian.PutUint32(b[table+8:], 1000)
			return b
		}, false},
		{"a chunk in the header", large, func(b []byte) []byte {
			binary.BigEndian.PutUint64(b[table:], headerSize-1)
			return b
		}, false},
		{"a chunk beyond the file", large, func(b []byte) []byte {
			binary.BigEndian.PutUint64(b[table:], 1<<63)
			return b
		}, false},
		{"a chunk that ends in the table", large, func(b []byte) []byte {
			binary.BigEndian.PutUint64(b[table:], uint64(table-mib+1))
			return b
		}, false},
		{"chunks that were exchanged", large, func(b []byte) []byte {
			first := bytes.Clone(b[table : table+entrySize])
			copy(b[table:], b[table+entrySize:table+2*entrySize])
			copy(b[table+entrySize:], first)
			return b
		}, true},
		{"a gap between chunks", zeros, func(b []byte) []byte {
			table := len(b) - 2*entrySize
			second := binary.BigEndian.Uint64(b[table+entrySize:])
			b = slices.Insert(b, int(second), 0)
			binary.BigEndian.PutUint64(b[table+1+entrySize:], second+1)
			return b
		}, true},
		{"a gap before the table", zeros, func(b []byte) []byte {
			return slices.Insert(b, len(b)-2*entrySize, 0)
		}, true},
	} {
		d := putSim(t, s, c.blob)
		file := getFile(t, disk, d)
		if c.forge != nil {
			file = c.forge(file)
		}
		if got := mend(file); got != d {
			t.Fatalf("%s: the header names %s", c.name, got)
		}
		setFile(t, s, disk, d, file)
		blob, err := s.Open(t.Context(), d)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		_, err = blob.ReadAt(make([]byte, 10), 0)
		if c.reads != (err == nil) || err != nil && !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("%s: read: %v, want success %v or ErrCorrupt", c.name, err, c.reads)
		}
		if err := s.Verify(t.Context(), d); c.forge == nil != (err == nil) || err != nil && !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("%s: verify: %v, want ErrCorrupt if it was forged", c.name, err)
		}
		if got, err := storage.ReadAll(t.Context(), s, d, 1<<30); err == nil && !bytes.Equal(got, c.blob) {
			t.Errorf("%s: %d wrong bytes", c.name, len(got))
		}
	}
	for _, size := range []uint64{0, 1, 999, 1001, mib + 1, 1 << 40, 1<<40 + 1, 1 << 62, 1 << 63, 1<<64 - 1} {
		d := putSim(t, s, single)
		file := getFile(t, disk, d)
		binary.BigEndian.PutUint64(file[12:], size)
		mend(file)
		setFile(t, s, disk, d, file)
		wantDamage(t, s, d, "a size of %d", size)
	}
}

// An entry belongs to its place: one that a disk wrote elsewhere is no entry.
func TestMisplacedEntryIsFound(t *testing.T) {
	s, disk := simStore(t)
	d := putSim(t, s, storagetest.Random(2*storage.ChunkSize, 1))
	file := getFile(t, disk, d)
	table := len(file) - 2*entrySize
	copy(file[table:], file[table+entrySize:])
	setFile(t, s, disk, d, file)
	blob, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := blob.ReadAt(make([]byte, 10), 0); n != 0 || !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("read of the first chunk by the second's entry: %d, %v, want ErrCorrupt", n, err)
	}
}

// Whatever is in a file: reading it does not panic, does not take memory out
// of proportion, and gives the blob's own bytes or an error.
func FuzzFile(f *testing.F) {
	s, disk := simStore(f)
	for _, b := range [][]byte{nil, []byte("abc"), storagetest.Text(700, 1), make([]byte, 2*storage.ChunkSize+5)} {
		d := putSim(f, s, b)
		file := getFile(f, disk, d)
		f.Add(file, false, d[:])
		f.Add(file, true, d[:])
		huge := bytes.Clone(file)
		binary.BigEndian.PutUint64(huge[12:], 1<<40)
		f.Add(huge, true, d[:])
	}
	f.Fuzz(func(t *testing.T, file []byte, mended bool, name []byte) {
		var d task.Digest
		copy(d[:], name)
		file = bytes.Clone(file)
		if mended {
			d = mend(file)
		}
		s, disk := simStore(t)
		setFile(t, s, disk, d, file)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := storage.ReadAll(t.Context(), s, d, 8<<20)
		verified := s.Verify(t.Context(), d)
		runtime.ReadMemStats(&after)
		if err == nil && task.Sum(got) != d {
			t.Errorf("read %d bytes of another digest", len(got))
		}
		if err != nil && verified == nil && !errors.Is(err, storage.ErrTooLarge) {
			t.Errorf("it verifies, and cannot be read: %v", err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 {
			t.Errorf("a file of %d bytes took %d bytes of memory", len(file), took)
		}
	})
}
