package segments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

// What arrives while a group is being written goes together with the next; who
// gives up waiting is not written.
func TestPutsShareASync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := newSimDisk()
		s, err := openSim(disk)
		if err != nil {
			t.Fatal(err)
		}
		h := newHistory()
		h.put(s, texts(0, 1)...)
		before := disk.syncs

		reached, goOn := make(chan bool), make(chan bool)
		disk.beforeSync = func() {
			disk.beforeSync = nil
			close(reached)
			<-goOn
		}
		const callers = 64
		done := make(chan error, callers)
		put := func(ctx context.Context, i int) { done <- s.Put(ctx, small(texts(i, i+1)...)) }
		go put(t.Context(), 1)
		<-reached
		for i := 2; i < callers; i++ {
			go put(t.Context(), i)
		}
		synctest.Wait()
		if have, err := s.Has(t.Context(), task.Sum(texts(1, 2)[0])); have || err != nil {
			t.Errorf("a blob is there before it is durable (%v)", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		given := make(chan error)
		go func() { given <- s.Put(ctx, small(texts(500, 501)...)) }()
		synctest.Wait()
		cancel()
		if err := <-given; !errors.Is(err, context.Canceled) {
			t.Errorf("gave up: %v, want context.Canceled", err)
		}
		close(goOn)
		for i := 1; i < callers; i++ {
			if err := <-done; err != nil {
				t.Error(err)
			}
			h.acknowledged[task.Sum(texts(i, i+1)[0])] = texts(i, i+1)[0]
		}
		if n := disk.syncs - before; n != 2 {
			t.Errorf("%d syncs for %d callers, want 2", n, callers-1)
		}
		if have, _ := s.Has(t.Context(), task.Sum(texts(500, 501)[0])); have {
			t.Error("what was given up was written")
		}
		if s.queue.led || len(s.queue.waiting) > 0 {
			t.Errorf("led: %v, waiting: %d", s.queue.led, len(s.queue.waiting))
		}
		wantIntact(t, s, h)
	})
}

// A full disk refuses Puts, keeps all else, lets Drop work, and takes Puts
// again after room was made.
func TestNoRoom(t *testing.T) {
	for _, how := range []string{"disk", "quota"} {
		t.Run(how, func(t *testing.T) {
			disk := newSimDisk()
			c := Config{Path: "sim", SegmentBytes: minSegmentBytes}
			if how == "disk" {
				disk.room, disk.full = 30_000, &os.PathError{Op: "write", Path: "sim", Err: syscall.ENOSPC}
			} else {
				c.Quota = 30_000
			}
			s, err := openOn(t.Context(), c, disk, func() error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			h := newHistory()
			i := 0
			for ; len(h.errs) == 0 && i < 60; i++ {
				h.put(s, texts(10*i, 10*i+3)...)
			}
			if len(h.errs) == 0 || !errors.Is(h.errs[0], storage.ErrNoSpace) || i < 20 {
				t.Fatalf("%d puts: %v, want ErrNoSpace at last", i, h.errs)
			}
			h.put(s, storagetest.Random(3000, 9))
			if len(h.errs) != 2 || !errors.Is(h.errs[1], storage.ErrNoSpace) {
				t.Fatalf("once more: %v, want ErrNoSpace", h.errs)
			}
			wantIntact(t, s, h)
			h.errs = nil
			for k := range i / 2 {
				h.drop(s, texts(10*k, 10*k+3)...)
			}
			for k := range 20 {
				h.put(s, texts(2000+k, 2001+k)...)
			}
			if len(h.errs) > 0 {
				t.Errorf("after half was dropped: %v", h.errs)
			}
			h.compact(s)
			wantIntact(t, s, h)
			disk.room = 0
			wantGoesOn(t, how, disk, h)
		})
	}
}

// Dropped blobs stay dropped when the store is opened again, whether it was
// closed or killed, also after their segments were copied.
func TestDroppedStayDropped(t *testing.T) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory()
	for i := range 20 {
		h.put(s, texts(10*i, 10*i+6)...)
		h.put(s, texts(10*i+1, 10*i+3)...) // again, so that there are dead copies
	}
	for round := range 6 {
		for i := range 20 {
			h.drop(s, texts(10*i+round, 10*i+round+1)...)
		}
		if round%3 == 1 {
			h.compact(s)
		}
		if round%2 == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if s, err = openSim(disk); err != nil {
			t.Fatal(err)
		}
		if got, want := s.Usage().Blobs, int64(len(h.acknowledged)); got != want || len(h.errs) > 0 {
			t.Errorf("round %d: %d blobs are there, want %d (%v)", round, got, want, h.errs)
		}
		wantIntact(t, s, h)
	}
	h.compact(s)
	if got := s.Usage(); got.Blobs != 0 || got.Bytes > 2*minSegmentBytes || len(h.errs) > 0 {
		t.Errorf("all was dropped: %+v (%v)", got, h.errs)
	}
}

// A store in daily use does not grow: what dies is made room for.
func TestCompactKeepsUp(t *testing.T) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory()
	most, live := int64(0), int64(0)
	for i := range 300 {
		h.put(s, texts(10*i, 10*i+4)...)
		if i >= 20 { // one of four lives a little longer
			h.drop(s, texts(10*(i-20), 10*(i-20)+3)...)
		}
		if i >= 60 {
			h.drop(s, texts(10*(i-60)+3, 10*(i-60)+4)...)
		}
		if _, err := s.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		most = max(most, s.Usage().Bytes)
		live = 0
		for _, b := range h.acknowledged {
			live += recordHeaderSize + int64(len(b))
		}
	}
	t.Logf("%d bytes live, at most %d in files", live, most)
	if most > 3*live {
		t.Errorf("files had %d bytes, %d live", most, live)
	}
	wantIntact(t, s, h)
	for d := range h.acknowledged {
		if err := s.Drop(t.Context(), []task.Digest{d}); err != nil {
			t.Fatal(err)
		}
	}
	for more := true; more; {
		if more, err = s.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if u := s.Usage(); u.Blobs != 0 || u.Bytes > 2*minSegmentBytes {
		t.Errorf("empty: %+v", u)
	}
}

// The newest segment, wholly dead and alone, is deleted by Compact.
func TestEmptyAgain(t *testing.T) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory()
	h.put(s, texts(0, 5)...)
	h.drop(s, texts(0, 5)...)
	h.compact(s)
	if u := s.Usage(); u.Bytes != 0 || len(disk.now) > 0 || len(h.errs) > 0 {
		t.Errorf("%+v, %d files, %v", u, len(disk.now), h.errs)
	}
	wantGoesOn(t, "empty", disk, h)
}

// Each sees all that is there throughout, whatever is copied meanwhile.
func TestEachWhileCompacting(t *testing.T) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory()
	for i := range 30 {
		h.put(s, texts(10*i, 10*i+6)...)
	}
	stay := map[task.Digest]bool{}
	for i := range 30 {
		h.drop(s, texts(10*i, 10*i+4)...)
		stay[task.Sum(texts(10*i+5, 10*i+6)[0])] = true
	}
	n := 0
	err = s.Each(t.Context(), func(d task.Digest, size int64) error {
		if size != int64(len(h.acknowledged[d])) {
			t.Errorf("a size of %d, want %d", size, len(h.acknowledged[d]))
		}
		delete(stay, d)
		if n++; n%2 == 0 {
			_, err := s.Compact(t.Context())
			return err
		}
		return nil
	})
	if err != nil || len(stay) > 0 {
		t.Errorf("%v; %d were not seen", err, len(stay))
	}
	stop := fmt.Errorf("enough")
	if err := s.Each(t.Context(), func(task.Digest, int64) error { return stop }); err != stop {
		t.Errorf("each: %v, want the error of its function", err)
	}
}

// Who is told to lead does so, even when its context ends at that moment:
// otherwise nobody would lead.
func TestLeadsThoughItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // both are ready, and select takes either
		var q queue
		first, second := &request{ready: make(chan verdict, 1)}, &request{ready: make(chan verdict, 1)}
		if !q.join(first) || q.join(second) {
			t.Fatal("the first leads, the second does not")
		}
		q.waiting = q.waiting[1:] // as take does
		q.pass()
		if v := q.wait(ctx, second); !v.lead || len(q.waiting) != 1 {
			t.Fatalf("verdict %+v, %d waiting, want a leader that still waits to be taken", v, len(q.waiting))
		}
	}
}

// Nothing but the last segment may end in the middle of a record: notes, which
// are not synced by themselves, are when their segment ends.
func TestSealedSegmentsAreSynced(t *testing.T) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory()
	h.put(s, texts(0, 2)...)
	h.put(s, storagetest.Random(3675, 1)) // nearly full; the note ends it
	h.drop(s, texts(0, 1)...)
	h.put(s, texts(3, 4)...)
	for name, n := range disk.now {
		if !bytes.Equal(n.now, n.synced) {
			t.Errorf("%s: %d bytes, %d of them synced", name, len(n.now), len(n.synced))
		}
	}
	if len(disk.now) != 2 || s.segments[0].notes != 1 || len(h.errs) > 0 {
		t.Errorf("%d segments, %d notes in the first, %v", len(disk.now), s.segments[0].notes, h.errs)
	}
}

// A sync that found the disk full is not repeated on the same file either.
func TestFullDiskAtSync(t *testing.T) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory()
	h.put(s, texts(0, 2)...)
	disk.failAt, disk.failWith = disk.steps+2, syscall.ENOSPC
	h.put(s, texts(2, 3)...)
	if len(h.errs) != 1 || !errors.Is(h.errs[0], storage.ErrNoSpace) || disk.failed != "sync file" {
		t.Fatalf("%v, failed: %s", h.errs, disk.failed)
	}
	h.errs = nil
	h.put(s, texts(3, 4)...)
	if len(h.errs) > 0 || len(s.segments) != 2 || len(disk.now[segmentName(1)].now) != len(disk.now[segmentName(1)].synced) {
		t.Errorf("%v, %d segments, want another", h.errs, len(s.segments))
	}
	wantIntact(t, s, h)
}

// A batch larger than a group is written in parts.
func TestLargeBatch(t *testing.T) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	var blobs [][]byte
	for i := range 150 {
		blobs = append(blobs, storagetest.Random(MaxBlobSize, uint64(i)))
	}
	h := newHistory()
	h.put(s, blobs...)
	if len(h.errs) > 0 || len(s.segments) != 3 {
		t.Errorf("%v, %d segments, want 3 parts", h.errs, len(s.segments))
	}
	wantIntact(t, s, h)
	if _, err = s.Get(t.Context(), task.Sum(blobs[0]), MaxBlobSize-1); !errors.Is(err, storage.ErrTooLarge) || !strings.Contains(err.Error(), "65536") {
		t.Errorf("beyond its limit: %v", err)
	}
}
