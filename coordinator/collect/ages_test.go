package collect_test

import (
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/collect"
	"github.com/sheafgrid/sheaf/task"
)

// What is seen without a break keeps its age; what a whole round missed does
// not, and a round that broke off says nothing about what it did not get to.
func TestAges(t *testing.T) {
	var a collect.Ages
	for i, round := range []struct {
		seen, want []uint64 // keys, and since when each is seen
		whole      bool
	}{
		{[]uint64{1, 2}, []uint64{0, 0}, true},
		{[]uint64{1, 2, 3}, []uint64{0, 0, 1}, true},
		{[]uint64{1}, []uint64{0}, false},
		{[]uint64{1, 2, 3}, []uint64{0, 0, 1}, true},
		{[]uint64{1, 3}, []uint64{0, 1}, true},
		{[]uint64{1, 2, 3}, []uint64{0, 5, 1}, true},
		{nil, nil, true},
		{[]uint64{1}, []uint64{7}, true},
	} {
		a.Begin()
		for k, key := range round.seen {
			if got := a.Seen(key, task.Millis(i)); got != task.Millis(round.want[k]) {
				t.Errorf("round %d: %d is seen since %d, want %d", i, key, got, round.want[k])
			}
		}
		a.End(round.whole)
	}
}

// What there is no room for is never old.
func TestAgesAreBounded(t *testing.T) {
	var a collect.Ages
	for _, whole := range []bool{true, false} {
		a.Begin()
		for key := range uint64(collect.MaxAges + 10) {
			a.Seen(key, 1)
		}
		a.End(whole)
	}
	a.Begin()
	if first, last := a.Seen(0, 9), a.Seen(collect.MaxAges+9, 9); first != 1 || last != 9 {
		t.Errorf("the first is seen since %d and the last, for which there is no room, since %d; want 1 and 9", first, last)
	}
}
