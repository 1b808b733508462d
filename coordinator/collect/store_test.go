package collect_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/collect"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

func inMemory(t *testing.T) storage.Blobs {
	t.Helper()
	m, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func clock(t *testing.T, path string) *collect.Clock {
	t.Helper()
	c, err := collect.OpenClock(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSuite(t *testing.T) {
	storagetest.Test(t, func(t *testing.T) storage.Blobs { return collect.NewStore(inMemory(t), clock(t, "")) })
}

// What a Put has acknowledged is there, however often the same blob is being
// deleted as unused.
func TestPutWinsAgainstACollection(t *testing.T) {
	c := clock(t, "")
	s := collect.NewStore(inMemory(t), c)
	b := []byte("deleted and put, again and again")
	d := task.Sum(b)
	var all sync.WaitGroup
	done := make(chan struct{})
	all.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			// As of the moment before: the last Put is never old enough to go.
			if _, err := s.Collect(t.Context(), c.Now()-1, func(task.Digest) bool { return false }); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 2000 {
		if err := c.Hear(task.Millis(2 * (i + 1))); err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, b)
		if ok, err := s.Has(t.Context(), d); !ok || err != nil {
			t.Fatalf("round %d: an acknowledged blob has gone (%v)", i, err)
		}
	}
	close(done)
	all.Wait()
	// It stays as long as the time when it was asked for is not old.
	for _, x := range []struct {
		since task.Millis
		want  bool
	}{{3999, true}, {4000, false}} {
		if _, err := s.Collect(t.Context(), x.since, func(task.Digest) bool { return false }); err != nil {
			t.Fatal(err)
		}
		if ok, err := s.Has(t.Context(), d); ok != x.want || err != nil {
			t.Errorf("asked for at 4000, collected as of %d: has %v, %v, want %v", x.since, ok, err, x.want)
		}
	}
}

func mustPut(t *testing.T, s storage.Blobs, b []byte) {
	t.Helper()
	if err := s.Put(t.Context(), task.Sum(b), int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
}

// A process that begins anew cannot know what the one before was asked for, and
// deletes nothing until that is long ago.
func TestClockOutlivesItsProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	inner, first := inMemory(t), clock(t, path)
	if err := first.Hear(1_000_000); err != nil {
		t.Fatal(err)
	}
	mustPut(t, collect.NewStore(inner, first), []byte("before"))
	again := clock(t, path)
	if again.Now() < first.Now() {
		t.Errorf("the clock went back from %d to %d", first.Now(), again.Now())
	}
	s := collect.NewStore(inner, again)
	for since, want := range map[task.Millis]int64{first.Now(): 0, again.Now(): 1} {
		gone, err := s.Collect(t.Context(), since, func(task.Digest) bool { return since < again.Now() })
		if err != nil || gone.Blobs != want {
			t.Errorf("as of %d: %d blobs have gone (%v), want %d", since, gone.Blobs, err, want)
		}
	}
	for _, text := range []string{"", "{", `{"kept_before_ms":-1}`, `{"kept_before_ms":"x"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := collect.OpenClock(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("clock %q: %v, want an error that names the file", text, err)
		}
	}
}

// A clock that cannot be written refuses the upload: its age could not be known.
func TestClockThatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	c := clock(t, filepath.Join(dir, "clock"))
	if err := c.Hear(5); err == nil || errors.Is(err, storage.ErrNoSpace) || c.Now() != 0 {
		t.Errorf("heard with %v, now %d", err, c.Now())
	}
}

func TestSetForgetsNothing(t *testing.T) {
	const n = 100_000
	digest := func(i int) task.Digest { return task.Sum(fmt.Append(nil, i)) }
	var s collect.Set
	for i := range n {
		s.Add(digest(i))
	}
	for i := range n {
		if !s.Has(digest(i)) {
			t.Fatalf("digest %d was added and is not there", i)
		}
	}
	wrong := 0
	for i := range n {
		if s.Has(digest(n + i)) {
			wrong++
		}
	}
	if wrong > n/1000 {
		t.Errorf("%d of %d that were not added seem to be there, want at most %d", wrong, n, n/1000)
	}
}
