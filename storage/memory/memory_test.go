package memory_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

func open(t *testing.T, c memory.Config) storage.Blobs {
	t.Helper()
	s, err := memory.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSuite(t *testing.T) {
	const quota = 1 << 20
	storagetest.Test(t,
		func(t *testing.T) storage.Blobs { return open(t, memory.Config{}) },
		storagetest.WithQuota(quota, func(t *testing.T) storage.Blobs { return open(t, memory.Config{Quota: quota}) }))
}

func TestConfig(t *testing.T) {
	for _, c := range []memory.Config{{Quota: -1}, {MaxBlob: -1}, {MaxBlob: storage.MaxBlobSize + 1}} {
		if s, err := memory.New(c); err == nil {
			t.Errorf("%+v made %v, want an error", c, s)
		}
	}
	s := open(t, memory.Config{MaxBlob: 3})
	if err := s.Put(t.Context(), task.Sum([]byte("abcd")), 4, strings.NewReader("abcd")); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("put of 4 bytes: %v, want ErrTooLarge", err)
	}
	if err := s.Put(t.Context(), task.Sum([]byte("abc")), 3, strings.NewReader("abc")); err != nil {
		t.Errorf("put of 3 bytes: %v", err)
	}
}

// A store made outside of a bubble works inside, and the other way round.
func TestBubbles(t *testing.T) {
	outside := open(t, memory.Config{})
	var inside storage.Blobs
	put := func(t *testing.T, s storage.Blobs) {
		t.Helper()
		b := storagetest.Text(1000, 1)
		if err := s.Put(t.Context(), task.Sum(b), int64(len(b)), bytes.NewReader(b)); err != nil {
			t.Error(err)
		}
		if _, err := storage.ReadAll(t.Context(), s, task.Sum(b), 1000); err != nil {
			t.Error(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		inside = open(t, memory.Config{})
		put(t, inside)
		put(t, outside)
	})
	put(t, inside)
	put(t, outside)
}
