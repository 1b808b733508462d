package dir_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/internal/fsutil"
	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

func put(t testing.TB, s *dir.Store, b []byte) task.Digest {
	t.Helper()
	d := task.Sum(b)
	if err := s.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	return d
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name, file, text, want string
	}{
		{"something else", "thesis.tex", "…", "not a blob store"},
		{"a directory of something else", "ab/cd", "", "not a blob store"},
		{"a hidden file", ".git", "", "not a blob store"},
		{"another format", "format", "1\n", "not a blob store"},
		{"an empty format", "format", "", "not a blob store"},
		{"half a format", "format", "sheaf blobs 1", "not a blob store"},
		{"version zero", "format", "sheaf blobs 0\n", "not a blob store"},
		{"no version", "format", "sheaf blobs x\n", "not a blob store"},
		{"a long format", "format", "sheaf blobs 1" + strings.Repeat("1", 1000), "not a blob store"},
		{"a newer version", "format", "sheaf blobs 2\n", "newer version of sheaf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := t.TempDir()
			write(t, filepath.Join(path, c.file), c.text)
			s, err := dir.Open(t.Context(), dir.Config{Path: path})
			if err == nil {
				_ = s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v, want an error with %q that names %s", err, c.want, path)
			}
			if names, err := os.ReadDir(path); err != nil || len(names) != 1 {
				t.Errorf("the directory holds %v (%v) now, want it left alone", names, err)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	if _, err := dir.Open(t.Context(), dir.Config{Path: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file: %v, want an error that names it", err)
	}
	for _, c := range []dir.Config{
		{},
		{Path: "x", Quota: -1},
		{Path: "x", MaxBlob: -1},
		{Path: "x", MaxBlob: storage.MaxBlobSize + 1},
		{Path: "x", Coders: -1},
		{Path: "x", Coders: 1 << 20},
	} {
		if _, err := dir.Open(t.Context(), c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestOpenTwice(t *testing.T) {
	path := t.TempDir()
	s := open(t, dir.Config{Path: path})
	_, err := dir.Open(t.Context(), dir.Config{Path: path})
	if !errors.Is(err, fsutil.ErrLocked) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "this process") {
		t.Errorf("second open: %v, want ErrLocked that names the directory and the holder", err)
	}
	put(t, s, []byte("still works"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir.Config{Path: path})
}

func TestOpenCleansUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "on the way")
	s := open(t, dir.Config{Path: path})
	d := put(t, s, []byte("kept"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(path, "tmp", "17"), "half a blob")
	write(t, filepath.Join(path, d.String()[:2], ".DS_Store"), "not ours")
	write(t, filepath.Join(path, d.String()[:2], strings.ToUpper(d.String())+".blob"), "not ours")
	write(t, filepath.Join(path, "ab", d.String()+".blob"), "in the wrong place")
	write(t, filepath.Join(path, "format.part"), "half a format")
	s = open(t, dir.Config{Path: path})
	if names, err := os.ReadDir(filepath.Join(path, "tmp")); err != nil || len(names) != 0 {
		t.Errorf("tmp holds %v (%v), want nothing", names, err)
	}
	if _, err := os.Stat(filepath.Join(path, d.String()[:2], ".DS_Store")); err != nil {
		t.Errorf("a file that is not the store's: %v, want it left alone", err)
	}
	u, err := s.Usage(t.Context())
	if err != nil || u.Blobs != 1 {
		t.Errorf("usage %+v (%v), want 1 blob", u, err)
	}
	if got, err := storage.ReadAll(t.Context(), s, d, 100); err != nil || string(got) != "kept" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestOpenStopsWithItsContext(t *testing.T) {
	path := t.TempDir()
	s := open(t, dir.Config{Path: path})
	put(t, s, []byte("x"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dir.Open(ctx, dir.Config{Path: path}); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v, want Canceled", err)
	}
	open(t, dir.Config{Path: path}) // the lock was given back
}

func TestClose(t *testing.T) {
	s := open(t, dir.Config{})
	b := storagetest.Text(2*storage.ChunkSize, 1)
	d := put(t, s, b)
	blob, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	p := make([]byte, 100)
	if _, err := blob.ReadAt(p, storage.ChunkSize-50); err != nil || !bytes.Equal(p, b[storage.ChunkSize-50:][:100]) {
		t.Errorf("a blob that was open: %v", err)
	}
	nothing := func(task.Digest, error) error { return nil }
	_, hasErr := s.Has(t.Context(), d)
	_, openErr := s.Open(t.Context(), d)
	_, usageErr := s.Usage(t.Context())
	for what, err := range map[string]error{
		"put":    s.Put(t.Context(), d, 0, bytes.NewReader(nil)),
		"batch":  s.PutBatch(t.Context(), nil),
		"has":    hasErr,
		"open":   openErr,
		"usage":  usageErr,
		"delete": s.Delete(t.Context(), d),
		"list":   s.List(t.Context(), func(task.Digest, int64) error { return nil }),
		"verify": s.Verify(t.Context(), d),
		"scrub":  s.Scrub(t.Context(), task.Digest{}, noPace, nothing),
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after close: %v, want ErrClosed", what, err)
		}
	}
}

func noPace(context.Context, int) error { return nil }

// A call that is running is waited for, and what it calls itself does not wait
// for Close in turn.
func TestCloseDuringList(t *testing.T) {
	s := open(t, dir.Config{})
	put(t, s, []byte("a"))
	put(t, s, []byte("b"))
	closed := make(chan error, 1)
	seen := 0
	err := s.List(t.Context(), func(d task.Digest, _ int64) error {
		seen++
		if seen == 1 {
			go func() { closed <- s.Close() }()
		}
		for { // until Close has begun
			if _, err := s.Has(t.Context(), d); errors.Is(err, fs.ErrClosed) {
				return nil
			}
		}
	})
	if err != nil || seen != 2 {
		t.Errorf("list: %v after %d blobs, want 2", err, seen)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestDeletedBlobStaysReadable(t *testing.T) {
	s := open(t, dir.Config{})
	b := storagetest.Random(storage.ChunkSize+100, 1)
	d := put(t, s, b)
	blob, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if err := s.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, len(b))
	if _, err := blob.ReadAt(p, 0); err != nil || !bytes.Equal(p, b) {
		t.Errorf("read: %v", err)
	}
}

func TestScrub(t *testing.T) {
	path := t.TempDir()
	s := open(t, dir.Config{Path: path})
	damaged := map[task.Digest]bool{}
	var bytesOnDisk int
	for i := range 30 {
		d := put(t, s, storagetest.Random(500+i, uint64(i)))
		file := filepath.Join(path, d.String()[:2], d.String()+".blob")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bytesOnDisk += len(b)
		if i%10 == 3 {
			b[len(b)/2] ^= 0x40
			write(t, file, string(b))
			damaged[d] = true
		}
	}
	paced, order := 0, []task.Digest(nil)
	scrub := func(from task.Digest) error {
		return s.Scrub(t.Context(), from,
			func(_ context.Context, n int) error {
				paced += n
				return nil
			},
			func(d task.Digest, err error) error {
				if damaged[d] != errors.Is(err, storage.ErrCorrupt) || !damaged[d] && err != nil {
					return fmt.Errorf("%s: %w, damaged is %v", d.Short(), err, damaged[d])
				}
				order = append(order, d)
				return nil
			})
	}
	if err := scrub(task.Digest{}); err != nil || len(order) != 30 {
		t.Fatalf("scrub: %v after %d blobs, want 30", err, len(order))
	}
	if want := bytesOnDisk - 30*56; paced != want { // each file but its header
		t.Errorf("paced %d bytes, want %d", paced, want)
	}
	whole := order
	order = nil
	if err := scrub(whole[20]); err != nil || len(order) != 10 || order[0] != whole[20] {
		t.Errorf("scrub from the 21st: %v after %d blobs, want 10", err, len(order))
	}
	tired := errors.New("tired")
	err := s.Scrub(t.Context(), task.Digest{}, func(context.Context, int) error { return tired }, func(task.Digest, error) error { return nil })
	if !errors.Is(err, tired) {
		t.Errorf("scrub: %v, want the error of its pace", err)
	}
}
