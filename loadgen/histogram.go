package loadgen

import (
	"math"
	"math/bits"
	"time"
)

// histogramBits is how many bits of a duration, in microseconds, are kept: a
// quantile is at most 1/64 above the truth.
const histogramBits = 6

// Histogram counts durations. Its zero value is empty and ready.
type Histogram struct {
	counts [(64 - histogramBits + 1) << histogramBits]uint64
	total  uint64
}

// Add counts one duration. What is below zero counts as zero.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(uint64(max(0, d.Microseconds())))]++
	h.total++
}

// Merge adds what another one counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
}

// Count is how many durations were added.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile is the duration that a part q of all, 0 to 1, does not exceed; 0
// where there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.total)))
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return time.Duration(top(i)) * time.Microsecond
		}
	}
	return 0
}

// bucket is where v is counted: small numbers each by themselves, larger ones
// by their first bits and their length.
func bucket(v uint64) int {
	shift := max(0, bits.Len64(v)-histogramBits-1)
	return shift<<histogramBits + int(v>>shift)
}

// top is the largest number of a bucket.
func top(i int) uint64 {
	if i < 2<<histogramBits {
		return uint64(i)
	}
	shift := i>>histogramBits - 1
	first := uint64(i - shift<<histogramBits)
	return (first+1)<<shift - 1
}
