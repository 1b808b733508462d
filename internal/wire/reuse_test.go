package wire_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/sheafgrid/sheaf/internal/wire"
)

// A value that takes the room of an earlier one is the value that was sent, and
// has nothing of the earlier one.
func TestReused(t *testing.T) {
	values := []wide{
		{M: []uint64{1, 2, 3}, O: []sample{{Text: "first", Names: []string{"a", "b"}, Maybe: &inner{Name: "m"}}, {Large: 7, Flag: true}}},
		{M: []uint64{4}, O: []sample{{Byte: -1, Inner: []inner{{Name: "i"}}}}},
		{M: []uint64{}, P: []*inner{{Name: "p"}, nil}},
		{M: nil, O: make([]sample, 9), L: kinds{1, 2}},
		{M: []uint64{5, 6}, O: []sample{{}, {Bytes: []byte("b")}, {}}},
	}
	var reused wide
	for i := range values {
		sent := wire.Marshal(&values[i])
		var fresh wide
		if err := wire.Unmarshal(sent, &fresh); err != nil {
			t.Fatal(err)
		}
		reused = wide{M: reused.M[:0], O: reused.O[:0], P: reused.P[:0], L: reused.L[:0]}
		var room *uint64
		if cap(reused.M) >= len(values[i].M) && len(values[i].M) > 0 {
			room = &reused.M[:1][0]
		}
		if err := wire.Unmarshal(sent, &reused, wire.Reused); err != nil {
			t.Fatal(err)
		}
		// What is not there at all stays as it was: no elements.
		same := reused
		for _, list := range []any{&same.O, &same.P, &same.L} {
			if v := reflect.ValueOf(list).Elem(); v.Len() == 0 {
				v.SetZero()
			}
		}
		if !reflect.DeepEqual(same, fresh) || !bytes.Equal(wire.Marshal(&reused), sent) {
			t.Errorf("value %d: got %+v, want %+v", i, same, fresh)
		}
		if room != nil && room != &reused.M[0] {
			t.Errorf("value %d: its list is not where the last one was", i)
		}
	}
}

// Lists that were decoded have no room behind their end: two that append to the
// same one must not write over each other.
func TestListsAreFull(t *testing.T) {
	for n := range 40 {
		var got wide
		if err := wire.Unmarshal(wire.Marshal(&wide{M: make([]uint64, n), O: make([]sample, n)}), &got); err != nil {
			t.Fatal(err)
		}
		if cap(got.M) != n || cap(got.O) != n {
			t.Errorf("lists of %d have room for %d and %d", n, cap(got.M), cap(got.O))
		}
		if got.M == nil {
			t.Errorf("a list of %d became none", n)
		}
	}
}

// AppendSealed appends what SealValue returns, and leaves what stands before it.
func TestAppendSealed(t *testing.T) {
	v := sample{Text: "text", Names: []string{"a"}}
	got := wire.AppendSealed([]byte("before"), 7, &v)
	if want := append([]byte("before"), wire.SealValue(7, &v)...); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}
