package blobs

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/task"
)

func listed(t *testing.T, n int) []byte {
	t.Helper()
	m, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		b := []byte(strings.Repeat("x", i))
		if err := m.PutBatch(t.Context(), []storage.Small{{Digest: task.Sum(b), Bytes: b}}); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := writeList(context.Background(), &out, m); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A list that is not whole must not look like one of fewer blobs.
func TestBrokenListsAreRefused(t *testing.T) {
	whole := listed(t, 5)
	count := 0
	if err := readList(bytes.NewReader(whole), func(Listed) error { count++; return nil }); err != nil || count != 5 {
		t.Fatalf("%d entries, %v; want 5", count, err)
	}
	for n := range whole {
		if err := readList(bytes.NewReader(whole[:n]), func(Listed) error { return nil }); !errors.Is(err, errList) {
			t.Fatalf("the first %d bytes of %d: got %v, want errList", n, len(whole), err)
		}
	}
	less := append(bytes.Clone(whole[:listEntry]), whole[2*listEntry:]...)
	swapped := append(append(bytes.Clone(whole[listEntry:2*listEntry]), whole[:listEntry]...), whole[2*listEntry:]...)
	for name, b := range map[string][]byte{"an entry is missing": less, "entries are swapped": swapped} {
		if err := readList(bytes.NewReader(b), func(Listed) error { return nil }); !errors.Is(err, errList) {
			t.Errorf("%s: got %v, want errList", name, err)
		}
	}
}

func FuzzList(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 2*listEntry))
	f.Add(append(make([]byte, 46), 0xff, 0xfe))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		err := readList(bytes.NewReader(b), func(l Listed) error {
			again = appendListed(again, l)
			return nil
		})
		if err == nil && !bytes.HasPrefix(b, again) {
			t.Errorf("%d bytes were read as others", len(b))
		}
	})
}

func FuzzReadBatch(f *testing.F) {
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if small, err := decodeBatch(b); err == nil {
			if err := storage.CheckBatch(small, storage.MaxSmallSize); err != nil {
				t.Error(err)
			}
		}
		if q, err := decodeWanted(b); err == nil && len(q) > maxWanted {
			t.Errorf("%d digests", len(q))
		}
	})
}
