package dir

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
	acknowledged map[task.Digest][]byte // by a Put that returned nil, and no Delete since
	errs         []error
}

func (h *history) put(s *Store, b []byte) {
	d := task.Sum(b)
	err := s.Put(context.Background(), d, int64(len(b)), bytes.NewReader(b))
	if err != nil {
		h.errs = append(h.errs, err)
		return
	}
	h.acknowledged[d] = b
}

func (h *history) batch(s *Store, blobs ...[]byte) {
	var small []storage.Small
	for _, b := range blobs {
		small = append(small, storage.Small{Digest: task.Sum(b), Bytes: b})
	}
	if err := s.PutBatch(context.Background(), small); err != nil {
		h.errs = append(h.errs, err)
		return
	}
	for _, b := range blobs {
		h.acknowledged[task.Sum(b)] = b
	}
}

func (h *history) remove(s *Store, b []byte) {
	delete(h.acknowledged, task.Sum(b))
	if err := s.Delete(context.Background(), task.Sum(b)); err != nil {
		h.errs = append(h.errs, err)
	}
}

// script returns a function that uses a store in every way that writes.
func script() func(d disk) (*Store, *history) {
	large, small, other := append(make([]byte, storage.ChunkSize), "end"...), storagetest.Text(3000, 2), storagetest.Text(4000, 30)
	var five [][]byte
	for i := range 5 {
		five = append(five, storagetest.Text(100+i, uint64(10+i)))
	}
	return func(d disk) (*Store, *history) {
		h := &history{acknowledged: map[task.Digest][]byte{}}
		s, err := openOn(context.Background(), Config{Path: "sim", Coders: 1}, d, func() error { return nil })
		if err != nil {
			h.errs = append(h.errs, err)
			return nil, h
		}
		h.put(s, small)
		h.put(s, large)
		h.put(s, nil)
		h.batch(s, five...)
		h.remove(s, small)
		h.put(s, five[1])
		h.batch(s, five[3], five[4], storagetest.Text(50, 20))
		h.put(s, small)
		h.remove(s, five[0])
		h.put(s, other)
		return s, h
	}
}

// wantIntact checks all that must hold of a store after anything happened.
func wantIntact(t *testing.T, s *Store, h *history) {
	t.Helper()
	missing := maps.Clone(h.acknowledged)
	listed := int64(0)
	err := s.List(t.Context(), func(d task.Digest, _ int64) error {
		listed++
		delete(missing, d)
		return s.Verify(t.Context(), d)
	})
	if err != nil {
		t.Errorf("a blob that is listed: %v", err)
	}
	for d, b := range missing {
		t.Errorf("an acknowledged blob of %d bytes is gone: %s", len(b), d)
	}
	counted := usage{}
	for i := range shards {
		names, err := s.disk.list(shardName(i))
		if err != nil {
			continue
		}
		for _, n := range names {
			size, err := s.disk.size(shardName(i) + "/" + n)
			if err != nil {
				t.Error(err)
			}
			counted.add(size)
		}
	}
	if u := &s.usage; u.blobs != listed+int64(len(s.shards.unsynced)) || u.blobs != counted.blobs || u.bytes != counted.bytes || u.reserved != 0 {
		t.Errorf("usage: %d blobs, %d bytes, %d reserved; listed are %d, on disk %d with %d bytes",
			u.blobs, u.bytes, u.reserved, listed, counted.blobs, counted.bytes)
	}
}

// R1: what was acknowledged survives a power cut at any step.
func TestPowerCutAtEveryStep(t *testing.T) {
	script, whole := script(), newSimDisk()
	if _, h := script(whole); len(h.errs) > 0 {
		t.Fatal(h.errs)
	}
	for k := 1; k <= whole.Steps()+1; k++ {
		disk := newSimDisk()
		disk.CutAt(k)
		_, h := script(disk)
		seeds := 2
		if len(h.acknowledged) == 0 {
			seeds = 50 // the making of a store has many outcomes, and they are quickly tried
		}
		for seed := range seeds {
			name := fmt.Sprintf("power cut at step %d, seed %d", k, seed)
			after := disk.afterPowerCut(rand.New(rand.NewPCG(uint64(k), uint64(seed))))
			s, err := openOn(t.Context(), Config{Path: "sim", Coders: 1}, after, nil)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if names, err := after.list(tmpName); err != nil || len(names) > 0 {
				t.Errorf("%s: tmp holds %v (%v), want nothing", name, names, err)
			}
			if wantIntact(t, s, h); t.Failed() {
				t.Fatal(name)
			}
			again := &history{acknowledged: maps.Clone(h.acknowledged)}
			again.put(s, storagetest.Text(3000, 2))
			again.put(s, []byte("new"))
			if wantIntact(t, s, again); t.Failed() || len(again.errs) > 0 {
				t.Fatalf("%s: going on: %v", name, again.errs)
			}
		}
	}
	fmt.Printf("storage/dir: %d crash points of a power cut\n", whole.Steps()+1)
}

// A process that dies leaves names that are not synced; what the next one says
// is there must survive all the same.
func TestKillAtEveryStepThenPowerCut(t *testing.T) {
	script := script()
	for k := 1; k <= 40; k++ {
		disk := newSimDisk()
		disk.CutAt(k)
		_, h := script(disk)
		disk.CutAt(0)
		s, err := openOn(t.Context(), Config{Path: "sim", Coders: 1}, disk, nil)
		if err != nil {
			t.Fatalf("kill at step %d: %v", k, err)
		}
		h.put(s, storagetest.Text(3000, 2))
		h.put(s, nil)
		err = s.List(t.Context(), func(d task.Digest, _ int64) error {
			h.acknowledged[d] = nil
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for seed := range 4 {
			after := disk.afterPowerCut(rand.New(rand.NewPCG(uint64(k), uint64(seed))))
			s, err := openOn(t.Context(), Config{Path: "sim", Coders: 1}, after, nil)
			if err != nil {
				t.Fatalf("kill at step %d, power cut of seed %d: %v", k, seed, err)
			}
			if wantIntact(t, s, h); t.Failed() {
				t.Fatalf("kill at step %d, power cut of seed %d", k, seed)
			}
		}
	}
}

// What a store says is there survives a power cut at that moment.
func TestNotThereBeforeItIsDurable(t *testing.T) {
	disk := newSimDisk()
	s, err := openOn(t.Context(), Config{Path: "sim", Coders: 1}, disk, nil)
	if err != nil {
		t.Fatal(err)
	}
	put, batched := storagetest.Text(100, 1), storagetest.Text(100, 2)
	h := &history{acknowledged: map[task.Digest][]byte{}}
	looked := 0
	disk.beforeSyncDir = func(name string) {
		for _, b := range [][]byte{put, batched} {
			d := task.Sum(b)
			if name != shardName(int(d[0])) || h.acknowledged[d] != nil {
				continue
			}
			looked++
			if _, err := disk.size(blobName(d)); err != nil {
				t.Errorf("the file should have its name before the sync: %v", err)
			}
			have, err := s.Has(t.Context(), d)
			if _, openErr := s.Open(t.Context(), d); have || err != nil || !errors.Is(openErr, storage.ErrNotFound) {
				t.Errorf("has: %v, %v; open: %v; want a blob that is not there yet", have, err, openErr)
			}
			err = s.List(t.Context(), func(l task.Digest, _ int64) error {
				if l == d {
					t.Error("it is listed")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
	h.put(s, put)
	h.batch(s, batched)
	h.put(s, put) // is there meanwhile
	if looked != 2 || len(h.errs) > 0 || len(s.shards.unsynced) > 0 {
		t.Errorf("looked %d times, want 2; %v; %d still hidden", looked, h.errs, len(s.shards.unsynced))
	}
	wantIntact(t, s, h)
}

// After a sync that failed the system may forget what it could not write, and
// call the next sync of the same directory a success.
func TestNoMoreWritesAfterAFailedSync(t *testing.T) {
	disk := newSimDisk()
	s, h := script()(disk)
	disk.FailAt(disk.Steps()+4, syscall.EIO) // create, write, write, sync
	b := storagetest.Text(100, 99)
	h.put(s, b)
	if disk.Failed() != "sync file" || len(h.errs) != 1 {
		t.Fatalf("failed: %q, errors: %v", disk.Failed(), h.errs)
	}
	h.put(s, b)
	h.batch(s, b)
	for _, err := range h.errs[1:] {
		if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "until it is opened again") {
			t.Errorf("a later write: %v, want the first error and what to do", err)
		}
	}
	if len(h.errs) != 3 {
		t.Errorf("%d errors, want 3: %v", len(h.errs), h.errs)
	}
	wantIntact(t, s, h)
}

// One error of the disk, at any step: what was acknowledged stays, nothing is
// half there, and a full disk refuses that call alone.
func TestErrorAtEveryStep(t *testing.T) {
	script, whole := script(), newSimDisk()
	script(whole)
	for _, failure := range []error{syscall.ENOSPC, syscall.EIO} {
		for k := 1; k <= whole.Steps(); k++ {
			disk := newSimDisk()
			disk.FailAt(k, failure)
			s, h := script(disk)
			name := fmt.Sprintf("%v at step %d (%s)", failure, k, disk.Failed())
			if s == nil {
				if !errors.Is(h.errs[0], failure) {
					t.Errorf("%s: open: %v", name, h.errs[0])
				}
				continue
			}
			if wantIntact(t, s, h); t.Failed() {
				t.Fatalf("%s: %v", name, h.errs)
			}
			wantErrors(t, name, h.errs, failure, disk.Failed())
			disk.FailAt(0, nil)
			if names, _ := disk.list(tmpName); len(names) > 0 && disk.Failed() != "remove" {
				t.Errorf("%s: tmp holds %v, want nothing", name, names)
			}
			after, err := openOn(t.Context(), Config{Path: "sim", Coders: 1}, disk, nil)
			if err != nil {
				t.Fatalf("%s: opened again: %v", name, err)
			}
			if wantIntact(t, after, h); t.Failed() {
				t.Fatalf("%s, opened again", name)
			}
		}
	}
	fmt.Printf("storage/dir: %d points of an I/O error, of 2 kinds\n", whole.Steps())
}

// wantErrors checks that a failure was reported once, or, after a sync that
// failed for good, by everything that wrote since.
func wantErrors(t *testing.T, name string, errs []error, failure error, what string) {
	t.Helper()
	full := errors.Is(failure, syscall.ENOSPC)
	for _, err := range errs {
		if !errors.Is(err, failure) || errors.Is(err, storage.ErrNoSpace) != full {
			t.Errorf("%s: %v", name, err)
		}
	}
	latched := strings.HasPrefix(what, "sync") && !full
	switch {
	case what == "mkdir" && len(errs) == 0: // tmp or a shard that is there already
	case what == "remove" && len(errs) <= 1: // a temporary file, or a blob
	case latched && len(errs) < 1, !latched && len(errs) != 1:
		t.Errorf("%s: %d calls failed: %v", name, len(errs), errs)
	}
}
