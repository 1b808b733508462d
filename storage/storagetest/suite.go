// Package storagetest holds the tests that every store of blobs passes: what
// the comments of storage.Blobs promise, as far as it can be seen from
// outside.
//
// A store's own test calls Test. Nothing here sleeps or reads a clock; its
// goroutines end with the test.
package storagetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// Option changes what Test does.
type Option func(*suite)

// WithReopen also tests that a store keeps its blobs: reopen ends the store it
// is given and opens it again.
func WithReopen(reopen func(t *testing.T, old storage.Blobs) storage.Blobs) Option {
	return func(s *suite) { s.reopen = reopen }
}

// WithQuota also tests a store that is full: open makes an empty one that has
// room for about quota bytes.
func WithQuota(quota int64, open func(t *testing.T) storage.Blobs) Option {
	return func(s *suite) { s.quota, s.openFull = quota, open }
}

// Test runs all tests, each with a new, empty store from open.
func Test(t *testing.T, open func(t *testing.T) storage.Blobs, options ...Option) {
	s := suite{open: open}
	for _, o := range options {
		o(&s)
	}
	for _, c := range []struct {
		name string
		test func(*suite, *testing.T)
	}{
		{"sizes", (*suite).testSizes},
		{"ranges", (*suite).testRanges},
		{"closed blob", (*suite).testClosedBlob},
		{"not found", (*suite).testNotFound},
		{"idempotent", (*suite).testIdempotent},
		{"mismatch", (*suite).testMismatch},
		{"too large", (*suite).testTooLarge},
		{"source fails", (*suite).testSourceFails},
		{"odd readers", (*suite).testOddReaders},
		{"context ends", (*suite).testContext},
		{"concurrent puts of one blob", (*suite).testConcurrentSame},
		{"concurrent everything", (*suite).testConcurrentAll},
		{"delete", (*suite).testDelete},
		{"list", (*suite).testList},
		{"list and change", (*suite).testListAndChange},
		{"batch", (*suite).testBatch},
		{"bad batch", (*suite).testBadBatch},
		{"usage", (*suite).testUsage},
		{"read all", (*suite).testReadAll},
		{"reopen", (*suite).testReopen},
		{"full", (*suite).testFull},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(&s, t) })
	}
}

type suite struct {
	open     func(t *testing.T) storage.Blobs
	reopen   func(t *testing.T, old storage.Blobs) storage.Blobs
	quota    int64
	openFull func(t *testing.T) storage.Blobs
}

// Random returns n bytes that do not compress, the same for the same seed.
func Random(n int, seed uint64) []byte {
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// Text returns n bytes that compress about as well as written numbers do.
func Text(n int, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, 0, n+32)
	for len(b) < n {
		b = append(b, "sample "...)
		for v := rnd.Uint32N(1_000_000); v > 0; v /= 10 {
			b = append(b, byte('0'+v%10))
		}
		b = append(b, '\n')
	}
	return b[:n]
}

// samples are blobs of every interesting size.
func samples() map[string][]byte {
	const mib = storage.ChunkSize
	return map[string][]byte{
		"empty":                    {},
		"1 byte":                   {7},
		"200 bytes":                Text(200, 1),
		"4 KiB random":             Random(4<<10, 2),
		"1 MiB - 1":                Text(mib-1, 3),
		"1 MiB":                    Random(mib, 4),
		"1 MiB of zeros":           make([]byte, mib),
		"1 MiB + 1":                Text(mib+1, 5),
		"3 MiB and a bit, mixed":   append(append(Random(mib, 6), make([]byte, mib)...), Text(mib+12_345, 7)...),
		"2 MiB exactly, of a text": Text(2*mib, 8),
	}
}

func mustPut(t *testing.T, s storage.Blobs, b []byte) task.Digest {
	t.Helper()
	d := task.Sum(b)
	if err := s.Put(t.Context(), d, int64(len(b)), bytes.NewReader(b)); err != nil {
		t.Fatalf("put of %d bytes: %v", len(b), err)
	}
	return d
}

func wantBlob(t *testing.T, s storage.Blobs, want []byte) {
	t.Helper()
	got, err := storage.ReadAll(t.Context(), s, task.Sum(want), int64(len(want)))
	if err != nil {
		t.Errorf("read of %d bytes: %v", len(want), err)
	} else if !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, not the %d that were put", len(got), len(want))
	}
}

// wantStored compares what is listed, counted and there with what should be.
func wantStored(t *testing.T, s storage.Blobs, want ...[]byte) {
	t.Helper()
	sizes := map[task.Digest]int64{}
	for _, b := range want {
		sizes[task.Sum(b)] = int64(len(b))
	}
	last, first := task.Digest{}, true
	err := s.List(t.Context(), func(d task.Digest, size int64) error {
		if !first && bytes.Compare(last[:], d[:]) >= 0 {
			t.Errorf("%s is listed after %s", d.Short(), last.Short())
		}
		last, first = d, false
		if w, ok := sizes[d]; !ok || w != size {
			t.Errorf("listed %s with %d bytes, want %d (known: %v)", d.Short(), size, w, ok)
		}
		delete(sizes, d)
		return nil
	})
	if err != nil {
		t.Errorf("list: %v", err)
	}
	for d := range sizes {
		t.Errorf("%s is not listed", d.Short())
	}
	for _, b := range want {
		if have, err := s.Has(t.Context(), task.Sum(b)); !have || err != nil {
			t.Errorf("has %s: %v, %v, want true", task.Sum(b).Short(), have, err)
		}
	}
	u, err := s.Usage(t.Context())
	if err != nil || u.Blobs != int64(len(want)) || (u.Bytes == 0) != (len(want) == 0) && len(want) > 1 {
		t.Errorf("usage %+v (%v), want %d blobs", u, err, len(want))
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
