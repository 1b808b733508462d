package wire

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"
)

// Marshal encodes a struct. The same value always gives the same bytes. It
// panics on a type that doc.go does not allow: that is a mistake in this
// program, found by the first test that touches the type.
func Marshal(v any) []byte {
	var b bytes.Buffer
	e := msgpack.GetEncoder()
	defer msgpack.PutEncoder(e)
	e.Reset(&b)
	e.UseCompactInts(true)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("wire: %T cannot be encoded: %v", v, err))
	}
	return b.Bytes()
}

// Unmarshal decodes what this program or an equal one wrote: the log,
// snapshots, journals. A field that the type does not have is an error, since
// skipping it would be guessing (R4).
func Unmarshal(b []byte, into any) error { return unmarshal(b, into, true) }

// UnmarshalLax decodes what came over the network: fields that a newer peer
// sends and the type does not have are skipped.
func UnmarshalLax(b []byte, into any) error { return unmarshal(b, into, false) }

func unmarshal(b []byte, into any, strict bool) error {
	t := reflect.TypeOf(into)
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("wire: want a pointer to a struct, got %T", into))
	}
	if err := check(b, t.Elem(), strict); err != nil {
		return fmt.Errorf("%s: %w", t.Elem(), err)
	}
	d := msgpack.GetDecoder()
	defer msgpack.PutDecoder(d)
	d.Reset(bytes.NewReader(b))
	d.DisallowUnknownFields(strict)
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w: %w", t.Elem(), ErrMalformed, err)
	}
	return nil
}
