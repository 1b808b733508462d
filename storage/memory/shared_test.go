package memory_test

import (
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/memory"
	"github.com/sheafgrid/sheaf/storage/storagetest"
)

func TestShared(t *testing.T) {
	open := func(t *testing.T) storage.Shared {
		t.Helper()
		s, err := memory.NewShared(memory.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	storagetest.Test(t, func(t *testing.T) storage.Blobs { return open(t) })
	storagetest.TestShared(t, open, func(_ *testing.T, s storage.Shared) storage.Shared { return s })
}
