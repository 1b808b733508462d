package segments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

// history is what a caller of a store knows.
type history struct {
	acknowledged map[task.Digest][]byte // by a Put that returned nil, and no Drop since
	errs         []error
}

func newHistory() *history { return &history{acknowledged: map[task.Digest][]byte{}} }

func (h *history) note(err error) bool {
	if err != nil {
		h.errs = append(h.errs, err)
	}
	return err == nil
}

func (h *history) put(s *Store, blobs ...[]byte) {
	if h.note(s.Put(context.Background(), small(blobs...))) {
		for _, b := range blobs {
			h.acknowledged[task.Sum(b)] = b
		}
	}
}

func (h *history) drop(s *Store, blobs ...[]byte) {
	var digests []task.Digest
	for _, b := range blobs {
		delete(h.acknowledged, task.Sum(b))
		digests = append(digests, task.Sum(b))
	}
	h.note(s.Drop(context.Background(), digests))
}

func (h *history) compact(s *Store) {
	for range 200 {
		more, err := s.Compact(context.Background())
		h.note(err)
		if !more {
			return
		}
	}
	h.note(errors.New("compact never comes to its end"))
}

func small(blobs ...[]byte) []storage.Small {
	list := make([]storage.Small, len(blobs))
	for i, b := range blobs {
		list[i] = storage.Small{Digest: task.Sum(b), Bytes: b}
	}
	return list
}

// texts returns blobs of a few hundred bytes.
func texts(from, to int) [][]byte {
	var list [][]byte
	for i := from; i < to; i++ {
		list = append(list, storagetest.Text(100+i*17%300, uint64(i)))
	}
	return list
}

func openSim(d *simDisk) (*Store, error) {
	return openOn(context.Background(), Config{Path: "sim", SegmentBytes: minSegmentBytes}, d, func() error { return nil })
}

// script uses a store in every way that writes.
func script(d *simDisk) (*Store, *history) {
	h := newHistory()
	s, err := openSim(d)
	if !h.note(err) {
		return nil, h
	}
	h.put(s, texts(0, 12)...)
	h.put(s, nil, nil)
	h.put(s, texts(12, 24)...)
	h.put(s, texts(5, 9)...) // again
	h.drop(s, texts(0, 8)...)
	h.put(s, texts(24, 40)...)
	h.put(s, texts(2, 4)...) // back again
	h.drop(s, texts(12, 30)...)
	h.compact(s)
	h.put(s, storagetest.Random(9000, 1))
	h.drop(s, texts(30, 38)...)
	h.put(s, texts(40, 42)...)
	h.compact(s)
	h.drop(s, texts(40, 41)...)
	h.note(s.Close())
	return s, h
}

// wantIntact checks all that must hold of a store after anything happened.
func wantIntact(t *testing.T, s *Store, h *history) {
	t.Helper()
	for d, b := range h.acknowledged {
		got, err := s.Get(t.Context(), d, MaxBlobSize)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("an acknowledged blob of %d bytes: %v", len(b), err)
		}
	}
	seen := int64(0)
	err := s.Each(t.Context(), func(d task.Digest, _ int64) error {
		seen++
		_, err := s.Get(t.Context(), d, MaxBlobSize)
		if errors.Is(err, storage.ErrCorrupt) { // a torn one, that nobody was promised
			err = nil
		}
		return err
	})
	if err != nil {
		t.Errorf("each: %v", err)
	}
	wantCounts(t, s, seen)
}

// wantCounts compares what is counted with what is indexed.
func wantCounts(t *testing.T, s *Store, seen int64) {
	t.Helper()
	blobs := map[uint32]int64{}
	total := int64(0)
	for group, shelf := range s.index.groups {
		inGroup := map[uint32]int64{}
		for i := range shelf.tables {
			used := 0
			for _, e := range shelf.tables[i].entries {
				if !e.isFree() {
					used++
					total++
					blobs[e.at.segment]++
					inGroup[e.at.segment]++
				}
			}
			if used != shelf.tables[i].used {
				t.Errorf("group %d: table %d: %d used, counted %d", group, i, used, shelf.tables[i].used)
			}
		}
		for segment, c := range shelf.shares {
			if c.blobs != inGroup[segment] || c.bytes < 0 {
				t.Errorf("group %d: segment %d: counted %+v, indexed are %d", group, segment, c, inGroup[segment])
			}
			delete(inGroup, segment)
		}
		if len(inGroup) > 0 {
			t.Errorf("group %d: not counted: %v", group, inGroup)
		}
	}
	bytes := int64(0)
	for _, g := range s.segments {
		size, err := g.file.length()
		if err != nil || size != g.size || g.blobs != blobs[g.number] || g.live < 0 || g.live > g.size {
			t.Errorf("segment %d: %d bytes, %d blobs, %d live; the file has %d (%v), indexed are %d",
				g.number, g.size, g.blobs, g.live, size, err, blobs[g.number])
		}
		bytes += size
		delete(blobs, g.number)
	}
	if u := s.Usage(); len(blobs) > 0 || u.Blobs != total || u.Blobs != seen || u.Bytes != bytes {
		t.Errorf("usage %+v; indexed are %d, seen %d, files have %d bytes; in missing segments: %v", u, total, seen, bytes, blobs)
	}
}

// wantGoesOn reopens a disk, uses the store and reopens it again.
func wantGoesOn(t *testing.T, name string, disk *simDisk, h *history) {
	t.Helper()
	s, err := openSim(disk)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if wantIntact(t, s, h); t.Failed() {
		t.Fatal(name)
	}
	again := newHistory()
	maps.Copy(again.acknowledged, h.acknowledged)
	again.put(s, texts(3, 6)...)
	again.put(s, texts(100, 130)...)
	again.compact(s)
	if wantIntact(t, s, again); t.Failed() || len(again.errs) > 0 {
		t.Fatalf("%s: going on: %v", name, again.errs)
	}
	if s, err = openSim(disk); err != nil { // without Close: the process was killed
		t.Fatalf("%s: opened again: %v", name, err)
	}
	if wantIntact(t, s, again); t.Failed() {
		t.Fatalf("%s: opened again", name)
	}
}

// R1: what was acknowledged survives a power cut at any step.
func TestPowerCutAtEveryStep(t *testing.T) {
	whole := newSimDisk()
	if _, h := script(whole); len(h.errs) > 0 {
		t.Fatal(h.errs)
	}
	for k := 1; k <= whole.steps+1; k++ {
		disk := newSimDisk()
		disk.cutAt = k
		_, h := script(disk)
		for seed := range uint64(50) {
			after := disk.afterPowerCut(rand.New(rand.NewPCG(uint64(k), seed)))
			wantGoesOn(t, fmt.Sprintf("power cut at step %d, seed %d", k, seed), after, h)
		}
	}
	fmt.Printf("storage/segments: %d crash points of a power cut, 50 outcomes each\n", whole.steps+1)
}

// A process that dies leaves bytes and names that are not synced; what the next
// one says is there must survive all the same.
func TestKillAtEveryStepThenPowerCut(t *testing.T) {
	whole := newSimDisk()
	script(whole)
	for k := 1; k <= whole.steps; k++ {
		disk := newSimDisk()
		disk.cutAt = k
		_, h := script(disk)
		disk.cutAt = 0
		s, err := openSim(disk)
		if err != nil {
			t.Fatalf("kill at step %d: %v", k, err)
		}
		err = s.Each(t.Context(), func(d task.Digest, _ int64) error {
			b, err := s.Get(t.Context(), d, MaxBlobSize)
			h.acknowledged[d] = b
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(5) {
			after := disk.afterPowerCut(rand.New(rand.NewPCG(uint64(k), seed)))
			wantGoesOn(t, fmt.Sprintf("kill at step %d, power cut of seed %d", k, seed), after, h)
		}
	}
}

// One error of the disk, at any step: what was acknowledged stays, and a full
// disk refuses that call alone.
func TestErrorAtEveryStep(t *testing.T) {
	whole := newSimDisk()
	script(whole)
	for _, failure := range []error{syscall.ENOSPC, syscall.EIO} {
		for k := 1; k <= whole.steps; k++ {
			disk := newSimDisk()
			disk.failAt, disk.failWith = k, failure
			s, h := script(disk)
			name := fmt.Sprintf("%v at step %d (%s)", failure, k, disk.failed)
			wantErrors(t, name, h.errs, failure, disk.failed)
			if s != nil && s.Damage() != (Damage{}) {
				t.Errorf("%s: damage %+v", name, s.Damage())
			}
			if disk.failAt = 0; t.Failed() {
				t.Fatal(name)
			}
			for seed := range uint64(3) {
				wantGoesOn(t, name+", power cut", disk.afterPowerCut(rand.New(rand.NewPCG(uint64(k), seed))), h)
			}
			wantGoesOn(t, name, disk, h)
		}
	}
	fmt.Printf("storage/segments: %d points of an I/O error, of 2 kinds\n", whole.steps)
}

// wantErrors checks that a failure was reported once, or, if it was the last,
// by everything that wrote since.
func wantErrors(t *testing.T, name string, errs []error, failure error, what string) {
	t.Helper()
	full := errors.Is(failure, syscall.ENOSPC)
	for i, err := range errs {
		if !errors.Is(err, failure) {
			t.Errorf("%s: %v", name, err)
		}
		if i > 0 && !strings.Contains(err.Error(), "until they are opened again") {
			t.Errorf("%s: %v, want the first error and what to do", name, err)
		}
	}
	last := !full && (what == "write" || strings.HasPrefix(what, "sync"))
	if full && len(errs) > 1 || last && len(errs) == 0 {
		t.Errorf("%s: %d calls failed: %v", name, len(errs), errs)
	}
}

// After a sync that failed the system may forget what it could not write, and
// call the next sync of the same file a success.
func TestNoMoreWritesAfterAFailedSync(t *testing.T) {
	disk := newSimDisk()
	s, err := openSim(disk)
	if err != nil {
		t.Fatal(err)
	}
	h := newHistory()
	h.put(s, texts(0, 3)...)
	disk.failAt, disk.failWith = disk.steps+2, syscall.EIO // write, sync
	h.put(s, texts(3, 4)...)
	if disk.failed != "sync file" || len(h.errs) != 1 {
		t.Fatalf("failed: %q, errors: %v", disk.failed, h.errs)
	}
	syncs := disk.syncs
	h.put(s, texts(3, 4)...)
	h.drop(s, texts(9, 10)...)
	_, err = s.Compact(t.Context())
	h.note(err)
	for _, err := range h.errs[1:] {
		if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "until they are opened again") {
			t.Errorf("a later write: %v, want the first error and what to do", err)
		}
	}
	if len(h.errs) != 4 || disk.syncs != syncs {
		t.Errorf("%d errors, want 4: %v; %d more syncs, want none", len(h.errs), h.errs, disk.syncs-syncs)
	}
	if have, err := s.Has(t.Context(), task.Sum(texts(3, 4)[0])); have || err != nil {
		t.Errorf("has what was not acknowledged: %v, %v", have, err)
	}
	for d, b := range h.acknowledged {
		if got, err := s.Get(t.Context(), d, MaxBlobSize); err != nil || !bytes.Equal(got, b) {
			t.Errorf("reading: %v", err)
		}
	}
	if err := s.Close(); err != nil || disk.syncs != syncs {
		t.Errorf("close: %v, %d more syncs", err, disk.syncs-syncs)
	}
}
