package state

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/sheafgrid/sheaf/internal/wire"
)

// restoredSlots is a state with the same attempts, read from a snapshot's pages.
func restoredSlots(t *testing.T, s *State) *State {
	t.Helper()
	var b bytes.Buffer
	if err := writePacked(&b, sectionAttempts, 0, &s.attempts, packAttempt); err != nil {
		t.Fatal(err)
	}
	other := New()
	other.cluster, other.attempts, other.index = s.cluster, Table[Attempt]{}, newIndex()
	for b.Len() > 0 {
		_, payload, err := wire.ReadFrame(&b, maxSection)
		if err == nil {
			err = unpackPage(payload, &other.attempts, &other.share, other.cluster.Attempts+1, unpackAttempt)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	other.shareTables()
	if err := other.rebuild(); err != nil {
		t.Fatal(err)
	}
	return other
}

// Memory follows the attempts that are out, up and down; no two have had the
// same name; and a restored replica takes the same slots (R3).
func TestSlotsComeAndGo(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	s := New()
	var held []uint32
	named := map[uint64]bool{}
	take := func() {
		slot := s.newAttempt(Attempt{State: AttemptReported, Stage: 1, Host: 1})
		id := uint64(attemptID(slot, s.attempts.At(uint64(slot))))
		if named[id] {
			t.Fatalf("the name %x is given again", id)
		}
		named[id] = true
		held = append(held, slot)
	}
	give := func(k int) {
		s.freeSlot(uint64(held[k]))
		held[k] = held[len(held)-1]
		held = held[:len(held)-1]
	}
	for wave := range 6 {
		for range 500 + rnd.IntN(2000) {
			take()
		}
		left := rnd.IntN(300)
		for oldest := wave%2 == 0; len(held) > left; {
			if oldest {
				give(0)
			} else {
				give(rnd.IntN(len(held)))
			}
			if rnd.IntN(4) == 0 {
				take()
			}
			if rnd.IntN(400) == 0 {
				other := restoredSlots(t, s)
				if got, want := other.newAttempt(Attempt{State: AttemptReported}), s.newAttempt(Attempt{State: AttemptReported, Stage: 1, Host: 1}); got != want {
					t.Fatalf("with %d attempts out a restored replica takes slot %d, this one %d", len(held), got, want)
				} else {
					held = append(held, want)
				}
			}
		}
		pages := 0
		for _, p := range s.attempts.pages {
			if p != nil {
				pages++
			}
		}
		if pages > len(held)+1 {
			t.Errorf("%d attempts are out, on %d pages", len(held), pages)
		}
	}
	for len(held) > 0 {
		give(len(held) - 1)
	}
	if s.attempts.Len() > pageSize || len(s.attempts.pages) != 1 {
		t.Errorf("with no attempt out there are %d slots on %d pages, want one page", s.attempts.Len(), len(s.attempts.pages))
	}
}

// A frozen copy keeps the pages that go meanwhile.
func TestFrozenKeepsDroppedSlots(t *testing.T) {
	s := New()
	for range 3 * pageSize {
		s.newAttempt(Attempt{State: AttemptReported, Stage: 1, Host: 1})
	}
	frozen := s.Freeze()
	defer frozen.Release()
	before := frozen.Digest()
	for i := uint64(1); i < 3*pageSize; i++ {
		s.freeSlot(i)
	}
	for range 2 * pageSize {
		s.newAttempt(Attempt{State: AttemptReported, Stage: 2, Host: 2})
	}
	if after := frozen.Digest(); after != before || len(s.attempts.spare) > 0 {
		t.Errorf("the frozen state's digest was %s and is %s, %d pages of it are to be used again", before.Short(), after.Short(), len(s.attempts.spare))
	}
}

// A page that goes is used again, empty, whether or not there was a frozen copy of it
// once.
func TestDroppedSlotsAreUsedAgain(t *testing.T) {
	s := New()
	for range 3 * pageSize {
		s.newAttempt(Attempt{State: AttemptReported, Stage: 1, Host: 1})
	}
	s.Freeze().Release()
	went := s.attempts.pages[1]
	for i := uint64(1); i < 3*pageSize; i++ {
		s.freeSlot(i)
	}
	if n := len(s.attempts.spare); n == 0 || n > 2 {
		t.Fatalf("%d pages are to be used again", n)
	}
	later := s.Freeze()
	defer later.Release()
	before := later.Digest()
	again := false
	for range 2 * pageSize {
		slot := s.newAttempt(Attempt{State: AttemptReported, Stage: 2, Host: 2})
		p := s.attempts.pages[uint64(slot)/pageSize-s.attempts.base]
		again = again || p == went
		for i := uint64(slot)%pageSize + 1; p == went && i < pageSize; i++ {
			if r := p.records[i]; r.Stage == 1 {
				t.Fatalf("slot %d has something of an attempt that went: %+v", i, r)
			}
		}
	}
	if !again {
		t.Error("no page was used again")
	}
	if after := later.Digest(); after != before {
		t.Errorf("a frozen state's digest was %s and is %s", before.Short(), after.Short())
	}
}
