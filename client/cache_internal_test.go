package client

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/task"
)

func newCache(t *testing.T, limit int64) *cache {
	t.Helper()
	c, err := openCache(filepath.Join(t.TempDir(), "cache"), limit)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// from writes a text, and counts how often.
func from(text string, times *atomic.Int64) func(io.Writer) error {
	return func(w io.Writer) error {
		times.Add(1)
		_, err := io.WriteString(w, text)
		return err
	}
}

func (c *cache) text(t *testing.T, text string, times *atomic.Int64) *cached {
	t.Helper()
	f, err := c.take(t.Context(), task.Sum([]byte(text)), 100, from(text, times))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1000))
	if err != nil || string(b) != text || f.size != int64(len(text)) {
		t.Fatalf("got %q of %d bytes, %v, want %q", b, f.size, err, text)
	}
	return f
}

func TestCacheKeepsAndVerifies(t *testing.T) {
	c := newCache(t, 1000)
	var times atomic.Int64
	for range 3 {
		c.text(t, "content", &times).Close()
	}
	if times.Load() != 1 {
		t.Errorf("fetched %d times, want 1", times.Load())
	}
	path := c.path(task.Sum([]byte("content")))
	for _, damage := range []string{"kontent", "cont", ""} {
		if err := os.WriteFile(path, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		times.Store(0)
		c.text(t, "content", &times).Close()
		if times.Load() != 1 {
			t.Errorf("damaged to %q: fetched %d times, want 1", damage, times.Load())
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.text(t, "content", &times).Close()
	if c.size != 7 {
		t.Errorf("it counts %d bytes, want 7", c.size)
	}
}

func TestCacheRefusesOtherContent(t *testing.T) {
	c := newCache(t, 1000)
	errLine := errors.New("the line broke")
	for name, k := range map[string]struct {
		fetch func(io.Writer) error
		want  error
		times int64
	}{
		"other content":    {func(w io.Writer) error { _, err := io.WriteString(w, "kontent"); return err }, errMismatch, 2},
		"too short":        {func(io.Writer) error { return nil }, errMismatch, 2},
		"too long":         {func(w io.Writer) error { _, err := w.Write(make([]byte, 200)); return err }, errMismatch, 2},
		"a line that ends": {func(io.Writer) error { return errLine }, errLine, 1},
	} {
		times := int64(0)
		_, err := c.take(t.Context(), task.Sum([]byte("content")), 100, func(w io.Writer) error { times++; return k.fetch(w) })
		if !errors.Is(err, k.want) || times != k.times {
			t.Errorf("%s: got %v after %d tries, want %v after %d", name, err, times, k.want, k.times)
		}
	}
	if files, _ := os.ReadDir(c.dir); len(files) != 0 || c.size != 0 || len(c.entries) != 0 {
		t.Errorf("left behind: %v, %d bytes, %d entries", files, c.size, len(c.entries))
	}
}

func TestCacheDropsWhatWasNotUsedForLongest(t *testing.T) {
	c := newCache(t, 10)
	var times atomic.Int64
	c.text(t, "aaaa", &times).Close()
	c.text(t, "bbbb", &times).Close()
	c.text(t, "aaaa", &times).Close()
	c.text(t, "cccc", &times).Close() // b goes
	pinned := c.text(t, "aaaa", &times)
	if times.Load() != 3 {
		t.Fatalf("fetched %d times, want 3", times.Load())
	}
	c.text(t, "a large file", &times).Close() // c goes, and so does this one
	if c.size != 4 || len(c.entries) != 1 {
		t.Errorf("%d bytes in %d files, want the 4 of the one in use", c.size, len(c.entries))
	}
	pinned.Close()
	pinned.Close()
	c.text(t, "aaaa", &times).Close()
	if times.Load() != 4 {
		t.Errorf("what was in use was dropped")
	}
}

func TestCacheOfAnEarlierRun(t *testing.T) {
	c := newCache(t, 100)
	var times atomic.Int64
	for _, s := range []string{"one", "two", "three"} {
		c.text(t, s, &times).Close()
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(c.path(task.Sum([]byte("two"))), old, old); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{unfinished + "123", "notes.txt"} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openCache(c.dir, 8)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.entries) != 2 || again.size != 8 || again.entries[task.Sum([]byte("two"))] != nil {
		t.Errorf("%d files of %d bytes, want one and three", len(again.entries), again.size)
	}
	files, _ := os.ReadDir(c.dir)
	if len(files) != 3 { // two files, and one that is not ours
		t.Errorf("the folder holds %v", files)
	}
}

// Two tasks that need the same file fetch it once; one that gives up waiting
// does not disturb the other.
func TestCacheFetchesOnce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		c, err := openCache(filepath.Join(dir, "cache"), 100)
		if err != nil {
			t.Fatal(err)
		}
		var times atomic.Int64
		var wg sync.WaitGroup
		slow := func(w io.Writer) error {
			time.Sleep(time.Minute)
			return from("content", &times)(w)
		}
		for i := range 5 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				if i > 2 {
					time.Sleep(time.Second) // behind the first
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
				}
				defer cancel()
				f, err := c.take(ctx, task.Sum([]byte("content")), 100, slow)
				if i > 2 {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("one that gave up: %v", err)
					}
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				f.Close()
			})
		}
		wg.Wait()
		if times.Load() != 1 {
			t.Errorf("fetched %d times, want 1", times.Load())
		}
	})
}
