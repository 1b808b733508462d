package sheaves_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sheafgrid/sheaf/sheaves"
)

func TestPackFindsItsParts(t *testing.T) {
	lists, outputs := []string{"list 0", "", "another list", ""}, []string{"output", "", "", ""}
	var parts []sheaves.PackPart
	var body []byte
	for k := range lists {
		parts = append(parts, sheaves.PackPart{List: uint32(len(lists[k])), Outputs: uint32(len(outputs[k]))})
		body = append(append(body, lists[k]...), outputs[k]...)
	}
	pack := append(sheaves.PackHeader(parts), body...)
	size, err := sheaves.PackHeaderSize(pack[:sheaves.PackPrefix])
	if err != nil {
		t.Fatal(err)
	}
	x, err := sheaves.DecodePackHeader(pack[:size])
	if err != nil {
		t.Fatal(err)
	}
	for k := range lists {
		at, p := x.Part(uint64(k))
		if got := string(pack[at : at+int64(p.List)]); got != lists[k] {
			t.Errorf("list %d: got %q, want %q", k, got, lists[k])
		}
		at += int64(p.List)
		if got := string(pack[at : at+int64(p.Outputs)]); got != outputs[k] {
			t.Errorf("outputs %d: got %q, want %q", k, got, outputs[k])
		}
	}
	if _, p := x.Part(4); p != (sheaves.PackPart{}) {
		t.Errorf("found %+v of a task that is not there", p)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "cut short": pack[:size-1], "too long": pack[:size+1], "not a pack": bytes.Repeat([]byte{1}, size),
		"too many tasks": sheaves.PackHeader(make([]sheaves.PackPart, sheaves.MaxTasks+1)),
	} {
		if _, err := sheaves.DecodePackHeader(b); !errors.Is(err, sheaves.ErrBadPack) {
			t.Errorf("%s: got %v, want ErrBadPack", name, err)
		}
	}
}

func FuzzDecodePackHeader(f *testing.F) {
	f.Add(sheaves.PackHeader(nil))
	f.Add(sheaves.PackHeader([]sheaves.PackPart{{List: 5}, {List: 1 << 31, Outputs: 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := sheaves.DecodePackHeader(b); err == nil {
			if offset, part := x.Part(1); offset < 0 || offset == 0 && part != (sheaves.PackPart{}) {
				t.Errorf("part 1 is %+v at %d", part, offset)
			}
		}
	})
}
