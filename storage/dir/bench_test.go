package dir_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/storage/dir"
	"github.com/sheafgrid/sheaf/storage/storagetest"
	"github.com/sheafgrid/sheaf/task"
)

func BenchmarkPut(b *testing.B) {
	for _, c := range []struct {
		name  string
		bytes []byte
	}{
		{"64MiB/text", storagetest.Text(64<<20, 1)},
		{"64MiB/random", storagetest.Random(64<<20, 1)},
		{"200B", storagetest.Text(200, 1)},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, dir.Config{})
			d := task.Sum(c.bytes)
			b.SetBytes(int64(len(c.bytes)))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Put(b.Context(), d, int64(len(c.bytes)), bytes.NewReader(c.bytes)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// 256 results of 200 bytes, together and one by one.
func BenchmarkSmall(b *testing.B) {
	batches := func(n uint64) []storage.Small {
		batch := make([]storage.Small, 256)
		for i := range batch {
			text := storagetest.Text(200, 256*n+uint64(i))
			batch[i] = storage.Small{Digest: task.Sum(text), Bytes: text}
		}
		return batch
	}
	b.Run("256x200B/PutBatch", func(b *testing.B) {
		s, n := open(b, dir.Config{}), uint64(0)
		for b.Loop() {
			n++
			if err := s.PutBatch(b.Context(), batches(n)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("256x200B/Put", func(b *testing.B) {
		s, n := open(b, dir.Config{}), uint64(0)
		for b.Loop() {
			n++
			for _, v := range batches(n) {
				if err := s.Put(b.Context(), v.Digest, int64(len(v.Bytes)), bytes.NewReader(v.Bytes)); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func BenchmarkReadAt(b *testing.B) {
	for _, c := range []struct {
		name  string
		bytes []byte
		step  int // 0: anywhere
	}{
		{"4KiB/anywhere/text", storagetest.Text(64<<20, 1), 0},
		{"4KiB/anywhere/random", storagetest.Random(64<<20, 1), 0},
		{"4KiB/in order/text", storagetest.Text(64<<20, 1), 4 << 10},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, dir.Config{})
			blob, err := s.Open(b.Context(), put(b, s, c.bytes))
			if err != nil {
				b.Fatal(err)
			}
			defer blob.Close()
			rnd := rand.New(rand.NewPCG(1, 1))
			p, off := make([]byte, 4<<10), 0
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				off = (off + c.step) % len(c.bytes)
				if c.step == 0 {
					off = rnd.IntN(len(c.bytes) - len(p))
				}
				if _, err := blob.ReadAt(p, int64(off)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadAll(b *testing.B) {
	s := open(b, dir.Config{})
	text := storagetest.Text(64<<20, 1)
	d := put(b, s, text)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := storage.ReadAll(b.Context(), s, d, 64<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenSmall(b *testing.B) {
	s := open(b, dir.Config{})
	d := put(b, s, storagetest.Text(200, 1))
	for b.Loop() {
		if _, err := storage.ReadAll(b.Context(), s, d, 200); err != nil {
			b.Fatal(err)
		}
	}
}
