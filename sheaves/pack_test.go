package sheaves_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/sheafgrid/sheaf/sheaves"
	"github.com/sheafgrid/sheaf/task"
)

func TestPackFindsItsBlobs(t *testing.T) {
	contents := map[task.Digest]string{}
	var blobs []sheaves.Packed
	for i := range 100 {
		text := fmt.Sprint("blob ", i%90) // some twice
		d := task.Sum([]byte(text))
		contents[d] = text
		blobs = append(blobs, sheaves.Packed{Digest: d, Size: uint32(len(text))})
	}
	blobs = sheaves.SortPacked(blobs)
	if len(blobs) != 90 {
		t.Fatalf("%d blobs, want each once", len(blobs))
	}
	pack := sheaves.PackHeader(blobs)
	for _, p := range blobs {
		pack = append(pack, contents[p.Digest]...)
	}
	size, err := sheaves.PackHeaderSize(pack[:sheaves.PackPrefix])
	if err != nil {
		t.Fatal(err)
	}
	x, err := sheaves.DecodePackHeader(pack[:size])
	if err != nil {
		t.Fatal(err)
	}
	for d, want := range contents {
		at, n, ok := x.Find(d)
		if !ok || string(pack[at:at+n]) != want {
			t.Errorf("%q is not where it should be", want)
		}
	}
	if _, _, ok := x.Find(task.Digest{7}); ok {
		t.Error("found what is not there")
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "cut short": pack[:size-1], "too long": pack[:size+1], "not a pack": bytes.Repeat([]byte{1}, size),
		"two exchanged": append(append(append([]byte(nil), pack[:sheaves.PackPrefix]...), pack[sheaves.PackPrefix+36:sheaves.PackPrefix+72]...), append(pack[sheaves.PackPrefix:sheaves.PackPrefix+36:sheaves.PackPrefix+36], pack[sheaves.PackPrefix+72:size]...)...),
	} {
		if _, err := sheaves.DecodePackHeader(b); !errors.Is(err, sheaves.ErrBadPack) {
			t.Errorf("%s: got %v, want ErrBadPack", name, err)
		}
	}
}

func FuzzDecodePackHeader(f *testing.F) {
	f.Add(sheaves.PackHeader(nil))
	f.Add(sheaves.PackHeader([]sheaves.Packed{{Digest: task.Digest{1}, Size: 5}, {Digest: task.Digest{2}, Size: 1 << 31}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := sheaves.DecodePackHeader(b); err == nil {
			x.Find(task.Digest{1})
		}
	})
}
