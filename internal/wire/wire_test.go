package wire_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/sheafgrid/sheaf/internal/wire"
)

// id marshals itself, as the digests and keys of package task do.
type id [4]byte

func (d id) MarshalBinary() ([]byte, error) { return d[:], nil }

func (d *id) UnmarshalBinary(b []byte) error {
	if len(b) != len(d) {
		return errors.New("length")
	}
	copy(d[:], b)
	return nil
}

type inner struct {
	Name string `msgpack:"n"`
	Sum  id     `msgpack:"s"`
}

type sample struct {
	Small  uint8    `msgpack:"a"`
	Large  uint64   `msgpack:"b"`
	Signed int64    `msgpack:"c"`
	Text   string   `msgpack:"d"`
	Bytes  []byte   `msgpack:"e,omitempty"`
	Names  []string `msgpack:"f,omitempty"`
	Inner  []inner  `msgpack:"g,omitempty"`
	Maybe  *inner   `msgpack:"h,omitempty"`
	Flag   bool     `msgpack:"i"`
	Byte   int8     `msgpack:"j"`
}

// wide has a field of each kind, with omitempty and without.
type wide struct {
	A uint16   `msgpack:"a"`
	B uint32   `msgpack:"b,omitempty"`
	C int16    `msgpack:"c"`
	D int32    `msgpack:"d,omitempty"`
	E int      `msgpack:"e"`
	F uint     `msgpack:"f,omitempty"`
	G bool     `msgpack:"g,omitempty"`
	H string   `msgpack:"h,omitempty"`
	I inner    `msgpack:"i,omitempty"`
	J empties  `msgpack:"j,omitempty"`
	K id       `msgpack:"k,omitempty"`
	L kinds    `msgpack:"l,omitempty"`
	M []uint64 `msgpack:"m"`
	N *inner   `msgpack:"n"`
	O []sample `msgpack:"o,omitempty"`
	P []*inner `msgpack:"p,omitempty"`
	Q string   `msgpack:"-"`
}

type empties struct {
	Name string `msgpack:"n,omitempty"`
	Sum  uint8  `msgpack:"s,omitempty"`
}

type kinds []kind

type kind uint8

// TestAsTheLibrary holds the codec against a general one: the same bytes, and
// the same value from them.
func TestAsTheLibrary(t *testing.T) {
	seed := time.Now().UnixNano()
	rnd := rand.New(rand.NewSource(seed))
	for range 2000 {
		v, ok := quick.Value(reflect.TypeFor[wide](), rnd)
		if !ok {
			t.Fatal("no value")
		}
		in := v.Interface().(wide)
		if in.Q = ""; rnd.Intn(2) == 0 {
			in.J, in.H, in.B, in.G = empties{}, "", 0, false
		}
		var want bytes.Buffer
		e := msgpack.NewEncoder(&want)
		e.UseCompactInts(true)
		if err := e.Encode(&in); err != nil {
			t.Fatal(err)
		}
		got := wire.Marshal(&in)
		if !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("seed %d: %+v is written as\n%x, the library writes\n%x", seed, in, got, want.Bytes())
		}
		var ours, theirs wide
		if err := errors.Join(wire.Unmarshal(got, &ours), msgpack.Unmarshal(got, &theirs)); err != nil {
			t.Fatalf("seed %d: %+v: %v", seed, in, err)
		}
		if !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("seed %d: %x is read as\n%+v, the library reads\n%+v", seed, got, ours, theirs)
		}
	}
}

func TestSealValue(t *testing.T) {
	v := full()
	if got, want := wire.SealValue(9, &v), wire.Seal(9, wire.Marshal(v)); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestSharedBytes(t *testing.T) {
	b := wire.Marshal(sample{Bytes: []byte("abc"), Text: "abc"})
	var s sample
	if err := wire.UnmarshalLax(b, &s, wire.Shared); err != nil {
		t.Fatal(err)
	}
	copy(b[bytes.Index(b, []byte("\xc4\x03abc")):], "\xc4\x03xyz")
	if string(s.Bytes) != "xyz" || s.Text != "abc" {
		t.Errorf("got %q %q, want bytes that are shared and text that is not", s.Bytes, s.Text)
	}
	if s.Bytes = append(s.Bytes, '!'); bytes.Contains(b, []byte("xyz!")) {
		t.Error("appending wrote over what comes next")
	}
}

func full() sample {
	return sample{
		Small: 255, Large: math.MaxUint64, Signed: math.MinInt64, Text: "größer", Bytes: []byte{0, 255},
		Names: []string{"", "b"}, Inner: []inner{{"x", id{1}}, {"y", id{2}}}, Maybe: &inner{"z", id{3}}, Flag: true, Byte: -128,
	}
}

func TestReadsWhatItWrites(t *testing.T) {
	for _, want := range []sample{{}, full(), {Signed: -1, Byte: -1}, {Signed: math.MaxInt64, Byte: 127}, {Large: 1 << 32, Small: 128}} {
		b := wire.Marshal(want)
		var got sample
		if err := wire.Unmarshal(b, &got); err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if again := wire.Marshal(got); !bytes.Equal(again, b) {
			t.Errorf("%x was written again as %x", b, again)
		}
	}
	if !bytes.Equal(wire.Marshal(sample{Names: []string{}, Bytes: []byte{}}), wire.Marshal(sample{})) {
		t.Error("an empty and a nil slice differ on the wire")
	}
}

// raw encodes a map of one field with the library alone.
func raw(t *testing.T, field string, v any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(map[string]any{field: v})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRefusesWhatTheDecoderWouldBend(t *testing.T) {
	deep := append([]byte("\x81\xa1z"), bytes.Repeat([]byte{0x91}, 2_000_000)...)
	for name, b := range map[string][]byte{
		"nothing":                         {},
		"-1 in an unsigned field":         raw(t, "b", -1),
		"300 in 8 bits":                   raw(t, "a", 300),
		"2^63 in a signed field":          raw(t, "c", uint64(1)<<63),
		"-129 in 8 bits":                  raw(t, "j", -129),
		"a float":                         raw(t, "b", 1.5),
		"a list of claimed 2^32 elements": append([]byte("\x81\xa1g"), 0xdd, 0xff, 0xff, 0xff, 0xff),
		"text of claimed 2^32 bytes":      append([]byte("\x81\xa1d"), 0xdb, 0xff, 0xff, 0xff, 0xff),
		"bytes behind the value":          append(wire.Marshal(full()), 0),
		"cut short":                       wire.Marshal(full())[:20],
		"a field that stands twice":       []byte("\x82\xa1a\x01\xa1a\x02"),
		"an identifier of 3 bytes":        raw(t, "h", map[string]any{"s": []byte{1, 2, 3}}),
		"an identifier as a list":         raw(t, "h", map[string]any{"s": []int{1, 2, 3, 4}}),
		"nil in a number":                 raw(t, "a", nil),
		"text that is not UTF-8":          raw(t, "d", "\xff"),
		"2 million levels, unknown field": deep,
		"an unused code":                  {0xc1},
		"a list of tiny structs":          append([]byte("\x81\xa1g\xdc\xff\xff"), bytes.Repeat([]byte{0x80}, 0xffff)...),
		"a map where a list belongs":      raw(t, "g", map[string]any{}),
		"an extension":                    {0x81, 0xa1, 'a', 0xd4, 1, 1},
	} {
		var s sample
		if err := wire.UnmarshalLax(b, &s); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func TestUnknownFields(t *testing.T) {
	b := raw(t, "zz", []any{map[string]any{"deep": []byte{1, 2, 3}}, 1.5, nil})
	var s sample
	if err := wire.UnmarshalLax(b, &s); err != nil {
		t.Errorf("lax: %v", err)
	}
	if err := wire.Unmarshal(b, &s); err == nil || !strings.Contains(err.Error(), `"zz"`) {
		t.Errorf("strict: got %v, want an error that names the field", err)
	}
}

func TestFrame(t *testing.T) {
	f := wire.Seal(7, []byte("payload"))
	kind, payload, err := wire.Open(f, 7)
	if err != nil || kind != 7 || string(payload) != "payload" {
		t.Fatalf("got %d %q %v", kind, payload, err)
	}
	if _, _, err := wire.Open(f, 6); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("over the limit: %v", err)
	}
	for bit := range 8 * len(f) {
		g := bytes.Clone(f)
		g[bit/8] ^= 1 << (bit % 8)
		if _, _, err := wire.Open(g, 1<<20); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("bit %d flipped: got %v, want ErrMalformed", bit, err)
		}
	}
	var stream bytes.Buffer
	for i := range 3 {
		if err := wire.WriteFrame(&stream, uint16(i), []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	whole := bytes.Clone(stream.Bytes())
	for i := range 3 {
		kind, payload, err := wire.ReadFrame(&stream, 10)
		if err != nil || kind != uint16(i) || payload[0] != byte(i) {
			t.Errorf("frame %d: got %d %v %v", i, kind, payload, err)
		}
	}
	if _, _, err := wire.ReadFrame(&stream, 10); err != io.EOF {
		t.Errorf("at the end: got %v, want io.EOF", err)
	}
	cut := bytes.NewReader(whole[:len(whole)-1])
	for range 2 {
		if _, _, err := wire.ReadFrame(cut, 10); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := wire.ReadFrame(cut, 10); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut short: got %v, want io.ErrUnexpectedEOF", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add(wire.Marshal(full()))
	f.Add(wire.Marshal(sample{}))
	f.Add([]byte("\x81\xa1g\xdd\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, again sample
		if wire.UnmarshalLax(b, &s) != nil {
			return
		}
		once := wire.Marshal(s)
		if err := wire.Unmarshal(once, &again); err != nil || !bytes.Equal(wire.Marshal(again), once) {
			t.Errorf("%x decodes to %+v, which is written and read as %+v (%v)", b, s, again, err)
		}
	})
}

func BenchmarkUnmarshal(b *testing.B) {
	in := wire.Marshal(full())
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		var s sample
		if err := wire.Unmarshal(in, &s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	in := full()
	b.SetBytes(int64(len(wire.Marshal(&in))))
	b.ReportAllocs()
	for b.Loop() {
		wire.Marshal(&in)
	}
}
