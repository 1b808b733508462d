package segments

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// countingDisk counts the fsyncs of files.
type countingDisk struct {
	disk
	syncs atomic.Int64
}

type countingFile struct {
	file
	disk *countingDisk
}

func (d *countingDisk) create(name string) (file, error) {
	f, err := d.disk.create(name)
	return countingFile{f, d}, err
}

func (f countingFile) Sync() error {
	f.disk.syncs.Add(1)
	return f.file.Sync()
}

func openBench(b *testing.B, path string) (*Store, *countingDisk) {
	b.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		b.Fatal(err)
	}
	d, err := openDisk(path)
	if err != nil {
		b.Fatal(err)
	}
	c := &countingDisk{disk: d}
	s, err := openOn(context.Background(), Config{Path: path}, c, func() error { return nil })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s, c
}

// outputs returns n blobs of 150 bytes, different for each batch.
func outputs(batch, n int) []storage.Small {
	list := make([]storage.Small, n)
	for i := range list {
		text := fmt.Appendf(nil, "%-150d", batch*n+i)
		list[i] = storage.Small{Digest: task.Sum(text), Bytes: text}
	}
	return list
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{32, 1000} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%dx150B/callers=%d", size, callers), func(b *testing.B) {
				s, d := openBench(b, filepath.Join(b.TempDir(), "outputs"))
				batches := make([][]storage.Small, b.N)
				for i := range batches {
					batches[i] = outputs(i, size)
				}
				var next atomic.Int64
				var all sync.WaitGroup
				before := d.syncs.Load()
				b.ReportAllocs()
				b.ResetTimer()
				for range callers {
					all.Go(func() {
						for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
							if err := s.Put(b.Context(), batches[i]); err != nil {
								b.Error(err)
							}
						}
					})
				}
				all.Wait()
				b.StopTimer()
				b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "blobs/s")
				b.ReportMetric(float64(d.syncs.Load()-before)/float64(b.N), "fsyncs/op")
			})
		}
	}
}

// million fills a store with a million blobs.
func million(b *testing.B, path string) {
	b.Helper()
	s, _ := openBench(b, path)
	for i := range 100 {
		if err := s.Put(b.Context(), outputs(i, 10_000)); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkMillion(b *testing.B) {
	path := filepath.Join(b.TempDir(), "outputs")
	million(b, path)
	b.Run("Open", func(b *testing.B) {
		for b.Loop() {
			s, _ := openBench(b, path)
			if u := s.Usage(); u.Blobs != 1_000_000 {
				b.Fatalf("%+v", u)
			}
		}
	})
	b.Run("memory", func(b *testing.B) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s, err := Open(b.Context(), Config{Path: path}) // not openBench: a benchmark holds on to what it cleans up
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		u := s.Usage()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(u.Blobs), "heap-B/blob")
		b.ReportMetric(float64(u.Bytes)/float64(u.Blobs), "disk-B/blob")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	})
	s, _ := openBench(b, path)
	known := outputs(50, 10_000)
	b.Run("Get", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := s.Get(b.Context(), known[i%len(known)].Digest, MaxBlobSize); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("GetParallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, err := s.Get(b.Context(), known[i%len(known)].Digest, MaxBlobSize); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("Each", func(b *testing.B) {
		for b.Loop() {
			if err := s.Each(b.Context(), func(task.Digest, int64) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A million blobs dropped in bulk, in the order in which they came.
func BenchmarkDrop(b *testing.B) {
	path := filepath.Join(b.TempDir(), "outputs")
	for b.Loop() {
		b.StopTimer()
		million(b, path)
		s, _ := openBench(b, path)
		var digests []task.Digest
		for i := range 100 {
			for _, v := range outputs(i, 10_000) {
				digests = append(digests, v.Digest)
			}
		}
		b.StartTimer()
		if err := s.Drop(b.Context(), digests); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if u := s.Usage(); u.Blobs != 0 || u.Bytes != 0 {
			b.Fatalf("%+v", u)
		}
		b.StartTimer()
	}
}
