package protocol_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

func TestBatchesAreReadAsWritten(t *testing.T) {
	asked := []protocol.Asked{{Blob: task.Digest{1}}, {Blob: task.Digest{2}, Stage: 7, Index: 1 << 40}}
	if got, err := protocol.DecodeAsked(protocol.EncodeAsked(asked)); err != nil || !slices.Equal(got, asked) {
		t.Errorf("asked for %+v, %v; want %+v", got, err, asked)
	}
	if _, err := protocol.DecodeAsked(protocol.EncodeAsked(make([]protocol.Asked, protocol.MaxBatch+1))); err == nil {
		t.Error("too many were taken")
	}
	var b bytes.Buffer
	for i, text := range []string{"a", "", "ccc"} {
		if err := protocol.WriteBatchBlob(&b, 2*i, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	whole := b.Len()
	if err := protocol.EndBatch(&b); err != nil {
		t.Fatal(err)
	}
	read := func(r []byte, limit int) (got string, err error) {
		err = protocol.ReadBatch(bytes.NewReader(r), limit, func(place int, b []byte) error {
			got += fmt.Sprintf("%d:%s;", place, b)
			return nil
		})
		return got, err
	}
	if got, err := read(b.Bytes(), 3); err != nil || got != "0:a;2:;4:ccc;" {
		t.Errorf("read %q, %v", got, err)
	}
	for n := range b.Len() {
		if got, err := read(b.Bytes()[:n], 3); err == nil {
			t.Errorf("cut to %d of %d bytes: read %q", n, whole, got)
		}
	}
	if got, err := read(b.Bytes(), 2); err == nil {
		t.Errorf("over the limit: read %q", got)
	}
}

func FuzzReadBatch(f *testing.F) {
	var b bytes.Buffer
	_ = protocol.WriteBatchBlob(&b, 3, []byte("blob"))
	_ = protocol.EndBatch(&b)
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 1, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = protocol.DecodeAsked(b)
		_ = protocol.ReadBatch(bytes.NewReader(b), 1<<10, func(place int, b []byte) error {
			if place >= protocol.MaxBatch || len(b) > 1<<10 {
				t.Errorf("blob %d of %d bytes", place, len(b))
			}
			return nil
		})
	})
}
