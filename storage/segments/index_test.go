package segments

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// A group that comes after one that went has its table, and nothing else of it. What
// is spare is little.
func TestGroupsUseTablesAgain(t *testing.T) {
	x := newIndex()
	for group := uint64(1); group <= 3*maxSpare; group++ {
		for i := range uint32(1000) {
			x.insert(group, uint64(i)<<40|group, location{1 + i%3, i}, 10)
		}
	}
	x.insert(1000, 5, location{1, 5}, 10)
	for group := uint64(1); group <= 3*maxSpare; group++ {
		if shares := x.drop(group); shares[1] != (share{334, 3340}) || x.drop(group) != nil {
			t.Fatalf("group %d had %v", group, shares)
		}
	}
	if len(x.spare) != maxSpare || x.count != 1 {
		t.Errorf("%d spare tables of %d, %d blobs of 1", len(x.spare), maxSpare, x.count)
	}
	x.insert(7, 5, location{2, 9}, 10)
	if got := x.appendPlaces(nil, 7); len(x.spare) != maxSpare-1 || !slices.Equal(got, []uint64{2<<32 | 9}) {
		t.Errorf("the next group has %x and %d spare tables are left", got, len(x.spare))
	}
	for i := range uint32(maxSpareTable) {
		x.insert(8, uint64(i)<<40, location{1, i}, 10)
	}
	if x.drop(8); len(x.spare) != maxSpare-2 {
		t.Error("a large table was kept")
	}
}

// The index says what a map would say, also where keys are equal or near.
func TestIndexAgainstMap(t *testing.T) {
	for _, c := range []struct {
		name  string
		keys  uint64
		mask  uint64 // which bits of a key vary
		group uint64
	}{
		{"spread", 5000, ^uint64(0), 0},
		{"spread in a group", 5000, ^uint64(0), 7},
		{"one table, one home", 300, 0xff, 0},
		{"one table, one home, in a group", 300, 0xff, 7},
		{"the last home", 40, 0x00ffffffffffff00, 0},
		{"equal", 1, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			x, want, group := newIndex(), map[location]uint64{}, c.group
			var places []location // the keys of want
			for step := range 40_000 {
				key := rnd.Uint64N(c.keys) * 0x9e3779b97f4a7c15 & c.mask
				if c.name == "the last home" {
					key |= 0x00fffffffffff000
				}
				grow := step/10_000%2 == 0 // then it shrinks
				at := location{1 + rnd.Uint32N(3), uint32(step)}
				if grow && len(want) < 3000 || len(want) == 0 {
					x.insert(group, key, at, 10)
					want[at], places = key, append(places, at)
				} else {
					i := rnd.IntN(len(places))
					old := places[i]
					if rnd.IntN(3) == 0 {
						x.replace(group, want[old], old, 10, at, 10)
						want[at], places[i] = want[old], at
					} else {
						if !x.remove(group, want[old], old, 10) {
							t.Fatalf("step %d: it cannot remove what is there", step)
						}
						places = slices.Delete(places, i, i+1)
					}
					delete(want, old)
				}
				if x.count != int64(len(want)) {
					t.Fatalf("step %d: counts %d, want %d", step, x.count, len(want))
				}
				if step%2500 == 0 {
					wantIndex(t, x, group, want)
				}
			}
			wantIndex(t, x, group, want)
		})
	}
}

func wantIndex(t *testing.T, x *index, group uint64, want map[location]uint64) {
	t.Helper()
	byKey := map[uint64][]location{}
	for at, key := range want {
		byKey[key] = append(byKey[key], at)
		if !x.has(group, key, at) {
			t.Errorf("%+v is missing under %x", at, key)
		}
	}
	order := func(a, b location) int { return int(int64(a.offset) - int64(b.offset)) }
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		got := slices.SortedFunc(slices.Values(x.find(nil, group, key)), order)
		if want := slices.SortedFunc(slices.Values(byKey[key]), order); !slices.Equal(got, want) {
			t.Errorf("under %x: %v, want %v", key, got, want)
		}
	}
}
