package segments

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"
)

// What is dropped piece by piece until all is gone is not copied on the way; what
// stays behind is, once no more is dropped.
func TestNothingIsCopiedThatGoesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const quiet, groups = 10 * time.Second, 8
		s, err := Open(t.Context(), Config{Path: t.TempDir(), SegmentBytes: 1 << 20, Quiet: quiet})
		if err != nil {
			t.Fatal(err)
		}
		body := func(i int) []byte { return binary.BigEndian.AppendUint64(bytes.Repeat([]byte{1}, 16<<10), uint64(i)) }
		for i := range 80 { // the first segment, and some of a second
			if err := s.Put(t.Context(), grouped(uint64(1+i%groups), body(i))); err != nil {
				t.Fatal(err)
			}
		}
		first := s.segments[0]
		for group := range uint64(groups - 1) {
			if err := s.DropGroup(t.Context(), 1+group); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if more, err := s.Compact(t.Context()); err != nil || more {
					t.Fatalf("group %d: more is %v, %v", group, more, err)
				}
				time.Sleep(quiet / 4)
			}
			if first.cursor != segmentHeaderSize || s.segment(first.number) == nil {
				t.Fatalf("after group %d something was copied", group)
			}
		}
		time.Sleep(quiet)
		for more, steps := true, 0; more; steps++ {
			if more, err = s.Compact(t.Context()); err != nil || steps > 10 {
				t.Fatalf("step %d: %v", steps, err)
			}
		}
		if s.segment(first.number) != nil {
			t.Error("the segment is still there")
		}
		wantCounts(t, s, 80/groups)
		var want [][]byte
		for i := groups - 1; i < 80; i += groups {
			want = append(want, body(i))
		}
		wantGroup(t, s, groups, want...)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Where the quota is half used, room counts for more than the time it takes to
// copy.
func TestQuotaDoesNotWaitForQuiet(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: t.TempDir(), SegmentBytes: minSegmentBytes, Quiet: time.Hour, Quota: 2 * minSegmentBytes})
	if err != nil {
		t.Fatal(err)
	}
	for group := range uint64(2) {
		if err := s.Put(t.Context(), grouped(1+group, bytes.Repeat([]byte{byte(group)}, 3000-1000*int(group)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(t.Context(), grouped(2, []byte("in the next segment"))); err != nil {
		t.Fatal(err)
	}
	before := s.Usage().Bytes
	if err := s.DropGroup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), grouped(3, bytes.Repeat([]byte{3}, 100))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := s.Usage().Bytes; after >= before {
		t.Errorf("%d bytes before, %d after", before, after)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
