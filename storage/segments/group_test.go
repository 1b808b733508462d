package segments

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// grouped puts texts under a group.
func grouped(group uint64, bodies ...[]byte) []storage.Small {
	var out []storage.Small
	for _, b := range bodies {
		blob := storage.SmallOf(b)
		blob.Group = group
		out = append(out, blob)
	}
	return out
}

// readGroup is what EachOf shows of a group.
func readGroup(t *testing.T, s *Store, group uint64) map[task.Digest][]byte {
	t.Helper()
	got := map[task.Digest][]byte{}
	err := s.EachOf(t.Context(), []uint64{group}, func(d task.Digest, b []byte) error {
		if _, twice := got[d]; twice {
			t.Errorf("group %d: blob %s stands twice", group, d.Short())
		}
		got[d] = bytes.Clone(b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func wantGroup(t *testing.T, s *Store, group uint64, want ...[]byte) {
	t.Helper()
	got := readGroup(t, s, group)
	for _, b := range want {
		if !bytes.Equal(got[task.Sum(b)], b) {
			t.Errorf("group %d: %q is missing", group, b)
		}
		if read, err := s.Get(t.Context(), task.Sum(b), MaxBlobSize); err != nil || !bytes.Equal(read, b) {
			t.Errorf("group %d: reading %q: got %q (%v)", group, b, read, err)
		}
	}
	if len(got) != len(want) {
		t.Errorf("group %d has %d blobs, want %d", group, len(got), len(want))
	}
}

// A blob that two groups and nobody have in common goes with none of them.
func TestGroupsAreApart(t *testing.T) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	shared, a, b := []byte("shared"), []byte("a"), []byte("b")
	for _, batch := range [][]storage.Small{grouped(1, shared, a, shared), grouped(2, shared, b), grouped(0, shared)} {
		if err := s.Put(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	check := func(groups map[uint64][][]byte) {
		t.Helper()
		for g, want := range groups {
			wantGroup(t, s, g, want...)
		}
		var numbers []uint64
		for g := range groups {
			if g != 0 {
				numbers = append(numbers, g)
			}
		}
		slices.Sort(numbers)
		if got := s.Groups(); !slices.Equal(got, numbers) {
			t.Errorf("groups %v, want %v", got, numbers)
		}
		n := int64(0)
		for _, want := range groups {
			n += int64(len(want))
		}
		wantCounts(t, s, n)
	}
	check(map[uint64][][]byte{0: {shared}, 1: {shared, a}, 2: {shared, b}})
	both := 0
	if err := s.EachOf(t.Context(), []uint64{1, 2, 3}, func(task.Digest, []byte) error { both++; return nil }); err != nil || both != 4 {
		t.Errorf("two groups show %d blobs (%v), want 4", both, err)
	}
	if err := s.DropGroup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	check(map[uint64][][]byte{0: {shared}, 2: {shared, b}})
	if have, err := s.Has(t.Context(), task.Sum(a)); have || err != nil {
		t.Errorf("a dropped blob: has %v (%v)", have, err)
	}
	if err := s.Drop(t.Context(), []task.Digest{task.Sum(shared), task.Sum(b)}); err != nil {
		t.Fatal(err)
	}
	check(map[uint64][][]byte{2: {shared, b}})
	if s, err = openSim(disk); err != nil {
		t.Fatal(err)
	}
	// The drop of a group is not written down: whoever drops it does so again.
	check(map[uint64][][]byte{1: {shared, a}, 2: {shared, b}})
	for _, g := range []uint64{1, 2, 3} {
		if err := s.DropGroup(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	check(nil)
	if _, err := s.Get(t.Context(), task.Sum(b), MaxBlobSize); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("after all were dropped: %v, want ErrNotFound", err)
	}
}

// Groups that come and go leave no room behind, also where one stays for long,
// and what is copied for that stays in its group.
func TestGroupsMakeRoom(t *testing.T) {
	const seed = 7
	rnd := rand.New(rand.NewPCG(seed, 1))
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	text := func(group, i int) []byte { return fmt.Appendf(nil, "%d/%d/%0*d", group, i, 20+rnd.IntN(200), 0) }
	groups := map[uint64][][]byte{}
	most := int64(0)
	for round := 1; round < 400; round++ {
		for _, g := range []int{round, 100_000} { // one that ends soon, and one that trickles
			if g == 100_000 && round%20 != 0 {
				continue
			}
			for i := range 1 + rnd.IntN(8) {
				body := text(g, i+round*100)
				groups[uint64(g)] = append(groups[uint64(g)], body)
				if err := s.Put(t.Context(), grouped(uint64(g), body)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if old := uint64(round - 5); round > 5 {
			if err := s.DropGroup(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			delete(groups, old)
		}
		if _, err := s.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		if round%50 == 0 {
			for g, want := range groups {
				wantGroup(t, s, g, want...)
			}
		}
		most = max(most, s.Usage().Bytes)
	}
	live := int64(0)
	for g, want := range groups {
		wantGroup(t, s, g, want...)
		for _, b := range want {
			live += recordHeaderSize + int64(len(b))
		}
	}
	t.Logf("seed %d: %d bytes live, at most %d in files", seed, live, most)
	if most > 4*live {
		t.Errorf("seed %d: files had %d bytes, %d live", seed, most, live)
	}
	if s, err = openSim(disk); err != nil {
		t.Fatal(err)
	}
	for _, g := range s.Groups() {
		if _, ok := groups[g]; !ok {
			if err := s.DropGroup(t.Context(), g); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := int64(0)
	for g, want := range groups {
		wantGroup(t, s, g, want...)
		n += int64(len(want))
	}
	wantCounts(t, s, n)
}
