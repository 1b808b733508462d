package scrub_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/coordinator/scrub"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

// node is a store on the disk and what its peers have.
type node struct {
	store *dir.Store
	path  string
	peers map[task.Digest][]byte
}

func newNode(t *testing.T) *node {
	t.Helper()
	path := t.TempDir()
	s, err := dir.Open(t.Context(), dir.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &node{store: s, path: path, peers: map[task.Digest][]byte{}}
}

// put stores a blob here and at a peer.
func (n *node) put(t *testing.T, b []byte) task.Digest {
	t.Helper()
	d := task.Sum(b)
	if err := n.store.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	n.peers[d] = b
	return d
}

// rot flips one bit in the middle of a blob's file.
func (n *node) rot(t *testing.T, d task.Digest) {
	t.Helper()
	name := d.String()
	path := filepath.Join(n.path, name[:2], name+".blob")
	b, err := os.ReadFile(path)
	if err == nil {
		b[len(b)/2] ^= 4
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (n *node) area(name string) scrub.Area {
	return scrub.Area{Name: name, Scrub: n.store.Scrub, Repair: func(ctx context.Context, d task.Digest) error {
		b, ok := n.peers[d]
		if !ok {
			return storage.ErrNotFound
		}
		return n.store.Put(ctx, d, int64(len(b)), bytes.NewReader(b))
	}}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestDamageIsFoundAndRepaired(t *testing.T) {
	a, b := newNode(t), newNode(t)
	var all []task.Digest
	for i := range 20 {
		all = append(all, a.put(t, storagetest.Text(1000*i+10, uint64(i))))
	}
	large := b.put(t, storagetest.Random(3*storage.ChunkSize, 1))
	a.rot(t, all[3])
	a.rot(t, all[7])
	delete(a.peers, all[7])
	b.rot(t, large)
	s := scrub.New(scrub.Config{Areas: []scrub.Area{a.area("blobs"), b.area("outputs")}, Logger: quiet()})
	for lap, want := range []scrub.Report{
		{Laps: 1, Blobs: 21, Damaged: 3, Repaired: 2, Lost: []string{"blobs/" + all[7].String()}},
		{Laps: 2, Blobs: 42, Damaged: 4, Repaired: 2, Lost: []string{"blobs/" + all[7].String(), "blobs/" + all[7].String()}},
	} {
		if err := s.Lap(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := s.Report()
		if got.Laps != want.Laps || got.Blobs != want.Blobs || got.Damaged != want.Damaged || got.Repaired != want.Repaired || len(got.Lost) != len(want.Lost) || got.Lost[0] != want.Lost[0] {
			t.Errorf("lap %d: %+v, want %+v", lap, got, want)
		}
	}
	if err := a.store.Verify(t.Context(), all[3]); err != nil {
		t.Errorf("after its repair: %v", err)
	}
	if err := b.store.Verify(t.Context(), large); err != nil {
		t.Errorf("after its repair: %v", err)
	}
}

// A lap that was interrupted, by the end of the process too, goes on where it
// was.
func TestLapGoesOnWhereItWas(t *testing.T) {
	n := newNode(t)
	for i := range 50 {
		n.put(t, storagetest.Text(500, uint64(i)))
	}
	path := filepath.Join(t.TempDir(), "scrub.json")
	ctx, cancel := context.WithCancel(t.Context())
	area := n.area("blobs")
	inner, seen := area.Scrub, 0
	area.Scrub = func(ctx context.Context, from task.Digest, wait func(context.Context, int) error, each func(task.Digest, error) error) error {
		return inner(ctx, from, wait, func(d task.Digest, err error) error {
			if seen++; seen == 30 {
				cancel()
			}
			return each(d, err)
		})
	}
	first := scrub.New(scrub.Config{Areas: []scrub.Area{area}, Path: path, Logger: quiet()})
	if err := first.Lap(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	second := scrub.New(scrub.Config{Areas: []scrub.Area{n.area("blobs")}, Path: path, Logger: quiet()})
	for range 2 {
		if err := second.Lap(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := second.Report(); got.Laps != 2 || got.Blobs != 21+50 {
		t.Errorf("the rest and a whole lap are %+v, want 71 blobs", got)
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := second.Lap(t.Context()); err != nil || second.Report().Blobs != 121 {
		t.Errorf("with a note that cannot be read: %v, %+v", err, second.Report())
	}
}

// It reads no faster than it may, and not all day.
func TestPaceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		laps := make(chan time.Time, 10)
		area := scrub.Area{Name: "blobs", Scrub: func(ctx context.Context, _ task.Digest, wait func(context.Context, int) error, each func(task.Digest, error) error) error {
			laps <- time.Now()
			for i := range 60 {
				if err := wait(ctx, 1<<20); err != nil {
					return err
				}
				if err := each(task.Digest{byte(i)}, nil); err != nil {
					return err
				}
			}
			return nil
		}}
		s := scrub.New(scrub.Config{Areas: []scrub.Area{area}, Pace: 1 << 20, Pause: time.Hour, Logger: quiet()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		began := time.Now()
		time.Sleep(30 * time.Second)
		if got := s.Report().Bytes >> 20; got < 28 || got > 33 {
			t.Errorf("after 30 s at 1 MiB/s: %d MiB", got)
		}
		for i := range 3 {
			if at := (<-laps).Sub(began); at != time.Duration(i)*time.Hour {
				t.Errorf("lap %d began after %s", i, at)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
