package segments_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/segments"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

func open(t testing.TB, c segments.Config) *segments.Store {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "outputs")
	}
	s, err := segments.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func batch(blobs ...[]byte) []storage.Small {
	list := make([]storage.Small, len(blobs))
	for i, b := range blobs {
		list[i] = storage.Small{Digest: task.Sum(b), Bytes: b}
	}
	return list
}

func TestPutAndGet(t *testing.T) {
	s := open(t, segments.Config{})
	blobs := [][]byte{nil, {7}, storagetest.Text(150, 1), storagetest.Random(464, 2), storagetest.Random(465, 3), storagetest.Random(segments.MaxBlobSize, 4)}
	if err := s.Put(t.Context(), batch(append(blobs, blobs...)...)); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
	for range 2 {
		for _, want := range blobs {
			got, err := s.Get(t.Context(), task.Sum(want), int64(len(want)))
			if err != nil || !bytes.Equal(got, want) || cap(got) != len(got) {
				t.Errorf("%d bytes: got %d of capacity %d (%v)", len(want), len(got), cap(got), err)
			}
			if have, err := s.Has(t.Context(), task.Sum(want)); !have || err != nil {
				t.Errorf("%d bytes: has %v (%v)", len(want), have, err)
			}
		}
		if u := s.Usage(); u.Blobs != int64(len(blobs)) {
			t.Errorf("usage %+v, want %d blobs", u, len(blobs))
		}
		if err := s.Put(t.Context(), batch(blobs[2])); err != nil { // again
			t.Fatal(err)
		}
	}
	d := task.Sum([]byte("not there"))
	_, err := s.Get(t.Context(), d, 100)
	have, hasErr := s.Has(t.Context(), d)
	if !errors.Is(err, storage.ErrNotFound) || !strings.Contains(err.Error(), d.String()) || have || hasErr != nil {
		t.Errorf("not there: %v, %v, %v", err, have, hasErr)
	}
	if err := s.Drop(t.Context(), []task.Digest{d, d}); err != nil {
		t.Errorf("drop of what is not there: %v", err)
	}
}

func TestRefusedBatches(t *testing.T) {
	s := open(t, segments.Config{})
	good := batch([]byte("good"))[0]
	for _, c := range []struct {
		name string
		bad  storage.Small
		want error
	}{
		{"too large", batch(make([]byte, segments.MaxBlobSize+1))[0], storage.ErrTooLarge},
		{"another digest", storage.Small{Digest: task.Sum([]byte("x")), Bytes: []byte("y")}, storage.ErrMismatch},
	} {
		err := s.Put(t.Context(), []storage.Small{good, c.bad})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if have, _ := s.Has(t.Context(), good.Digest); have {
			t.Errorf("%s: a part of the batch was stored", c.name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, []storage.Small{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []segments.Config{
		{},
		{Path: "x", Quota: -1},
		{Path: "x", SegmentBytes: 100},
		{Path: "x", SegmentBytes: segments.MaxSegmentBytes + 1},
	} {
		if _, err := segments.Open(t.Context(), c); err == nil {
			t.Errorf("%+v was opened", c)
		}
	}
}

func TestOpenTwiceAndClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, segments.Config{Path: path})
	if _, err := segments.Open(t.Context(), segments.Config{Path: path}); !errors.Is(err, fsutil.ErrLocked) {
		t.Errorf("opened twice: %v, want ErrLocked", err)
	}
	blob := batch([]byte("a blob"))
	if err := s.Put(t.Context(), blob); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	_, getErr := s.Get(t.Context(), blob[0].Digest, 10)
	for _, err := range []error{s.Put(t.Context(), blob), s.Drop(t.Context(), nil), getErr} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("after Close: %v, want ErrClosed", err)
		}
	}
	s = open(t, segments.Config{Path: path})
	if b, err := s.Get(t.Context(), blob[0].Digest, 10); err != nil || string(b) != "a blob" || s.Damage() != (segments.Damage{}) {
		t.Errorf("opened again: %q, %v, %+v", b, err, s.Damage())
	}
}

// A directory that belongs to something else is refused, and not touched.
func TestForeignDirectory(t *testing.T) {
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := segments.Open(t.Context(), segments.Config{Path: path})
	if err == nil || !strings.Contains(err.Error(), `"thesis.tex"`) {
		t.Errorf("got %v", err)
	}
	if names, _ := os.ReadDir(path); len(names) != 1 {
		t.Errorf("the directory holds %v", names)
	}
}

// Puts, Gets, Drops and Compact at the same time: what a goroutine put it finds
// until it drops it.
func TestConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outputs")
	s := open(t, segments.Config{Path: path, SegmentBytes: 32 << 10})
	var all sync.WaitGroup
	const callers, rounds = 8, 40
	for c := range callers {
		all.Go(func() {
			if err := churn(t.Context(), s, c, rounds); err != nil {
				t.Error(err)
			}
		})
	}
	done := make(chan bool)
	var sweeps sync.WaitGroup
	sweeps.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := s.Compact(t.Context()); err != nil {
				t.Error(err)
			}
			if err := s.Each(t.Context(), func(task.Digest, int64) error { return nil }); err != nil {
				t.Error(err)
			}
			_ = s.Usage()
		}
	})
	all.Wait()
	close(done)
	sweeps.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, segments.Config{Path: path})
	if u := s.Usage(); u.Blobs != callers*rounds+1 || s.Damage() != (segments.Damage{}) {
		t.Errorf("%+v, damage %+v, want %d blobs", u, s.Damage(), callers*rounds+1)
	}
}

// churn puts five blobs a round and drops all of them but one.
func churn(ctx context.Context, s *segments.Store, caller, rounds int) error {
	for r := range rounds {
		var blobs [][]byte
		var digests []task.Digest
		for i := range 5 {
			b := storagetest.Text(100+i, uint64(caller*1000+r*5+i))
			blobs = append(blobs, b)
			digests = append(digests, task.Sum(b))
		}
		if err := s.Put(ctx, batch(append(blobs, []byte("everyone's"))...)); err != nil {
			return err
		}
		for i, d := range digests {
			if b, err := s.Get(ctx, d, 1000); err != nil || !bytes.Equal(b, blobs[i]) {
				return fmt.Errorf("caller %d, round %d: %w", caller, r, err)
			}
		}
		if err := s.Drop(ctx, digests[1:]); err != nil {
			return err
		}
		if have, err := s.Has(ctx, digests[2]); have || err != nil {
			return fmt.Errorf("caller %d, round %d: a dropped blob is there (%w)", caller, r, err)
		}
	}
	return nil
}
