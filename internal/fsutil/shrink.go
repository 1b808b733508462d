package fsutil

import "time"

// Freeing the pages of a large file holds a processor for tens of milliseconds, in
// which the system runs nobody else on it. Where steps take long there are fewer.
const (
	ShrinkStep   = 2 << 20 // bytes
	shrinkRest   = 8 * time.Millisecond
	ShrinkAtMost = time.Second
)

// Shrink gives back the room of a file of size bytes, whose name is gone and which
// nobody reads, in steps of ShrinkStep bytes, with rests in which others have the
// processor. It ends at the given time, at the latest. Whatever goes wrong, closing
// the file gives the room back.
func Shrink(f interface{ Truncate(size int64) error }, size int64, until time.Time) {
	for left := size - ShrinkStep; left > 0 && time.Now().Before(until); left -= ShrinkStep {
		if f.Truncate(left) != nil {
			return
		}
		time.Sleep(shrinkRest)
	}
}
