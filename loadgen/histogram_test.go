package loadgen

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsFollowEachOther(t *testing.T) {
	var h Histogram
	last := -1
	for _, v := range []uint64{0, 1, 63, 64, 127, 128, 129, 130, 255, 256, 1 << 20, 1<<20 + 1<<14, 1 << 40, math.MaxInt64, math.MaxUint64} {
		b := bucket(v)
		if b < last || b >= len(h.counts) {
			t.Errorf("%d is counted in bucket %d of %d, after bucket %d", v, b, len(h.counts), last)
		}
		if upper := top(b); upper < v || upper-v > v/64+1 {
			t.Errorf("%d is counted up to %d", v, upper)
		}
		last = b
	}
	for i := 1; i < len(h.counts); i++ {
		if below := top(i - 1); bucket(below) != i-1 || bucket(below+1) != i {
			t.Fatalf("bucket %d ends at %d, which is counted in %d, and the next number in %d", i-1, below, bucket(below), bucket(below+1))
		}
	}
}

func TestQuantiles(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	var a, b Histogram
	for i := range 10_000 {
		d := time.Duration(rnd.ExpFloat64() * float64(5*time.Millisecond))
		all = append(all, d)
		[]*Histogram{&a, &b}[i%2].Add(d)
	}
	a.Merge(&b)
	if a.Count() != 10_000 {
		t.Fatalf("got %d durations, want 10000", a.Count())
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		want := all[int(math.Ceil(q*float64(len(all))))-1]
		got := a.Quantile(q)
		if got < want-time.Microsecond || float64(got) > float64(want)*(1+1.0/64)+float64(time.Microsecond) {
			t.Errorf("quantile %g: got %s, want %s", q, got, want)
		}
	}
}

func TestEmptyHistogram(t *testing.T) {
	var h Histogram
	if got := h.Quantile(0.99); got != 0 {
		t.Errorf("got %s, want 0", got)
	}
	h.Add(-time.Second)
	if got := h.Quantile(0.5); got != 0 || h.Count() != 1 {
		t.Errorf("a negative duration counts as %s, want 0", got)
	}
}
