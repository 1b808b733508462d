package sheaf_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/sheafgrid/sheaf/sheaf"
	"github.com/sheafgrid/sheaf/task"
)

func TestPackFindsItsBlobs(t *testing.T) {
	contents := map[task.Digest]string{}
	var blobs []sheaf.Packed
	for i := range 100 {
		text := fmt.Sprint("blob ", i%90) // some twice
		d := task.Sum([]byte(text))
		contents[d] = text
		blobs = append(blobs, sheaf.Packed{Digest: d, Size: uint32(len(text))})
	}
	blobs = sheaf.SortPacked(blobs)
	if len(blobs) != 90 {
		t.Fatalf("%d blobs, want each once", len(blobs))
	}
	pack := sheaf.PackHeader(blobs)
	for _, p := range blobs {
		pack = append(pack, contents[p.Digest]...)
	}
	size, err := sheaf.PackHeaderSize(pack[:sheaf.PackPrefix])
	if err != nil {
		t.Fatal(err)
	}
	x, err := sheaf.DecodePackHeader(pack[:size])
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
		"two exchanged": append(append(append([]byte(nil), pack[:sheaf.PackPrefix]...), pack[sheaf.PackPrefix+36:sheaf.PackPrefix+72]...), append(pack[sheaf.PackPrefix:sheaf.PackPrefix+36:sheaf.PackPrefix+36], pack[sheaf.PackPrefix+72:size]...)...),
	} {
		if _, err := sheaf.DecodePackHeader(b); !errors.Is(err, sheaf.ErrBadPack) {
			t.Errorf("%s: got %v, want ErrBadPack", name, err)
		}
	}
}

func FuzzDecodePackHeader(f *testing.F) {
	f.Add(sheaf.PackHeader(nil))
	f.Add(sheaf.PackHeader([]sheaf.Packed{{Digest: task.Digest{1}, Size: 5}, {Digest: task.Digest{2}, Size: 1 << 31}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := sheaf.DecodePackHeader(b); err == nil {
			x.Find(task.Digest{1})
		}
	})
}
