// Package metrics counts what a coordinator does, and writes the counts in
// Prometheus' text format.
//
// Counters and histograms are atomic integers: counting takes nanoseconds,
// allocates nothing and never waits. There is no registry: whoever owns a
// counter keeps it in a struct, and one function writes all of them when they
// are asked for. Labels are written, never stored, so a metric has as many
// series as that function writes, whatever strangers send.
//
// It starts no goroutine and imports nothing but the standard library.
package metrics

import (
	"sync/atomic"
	"time"
)

// Counter counts up. Its zero value is ready.
type Counter struct{ n atomic.Uint64 }

// Add counts n more.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Value is the count.
func (c *Counter) Value() uint64 { return c.n.Load() }

// buckets is how many bounds a histogram of durations has: 0.1 ms, then each
// twice the one before, up to 26 s.
const buckets = 19

// firstBound is the smallest bound.
const firstBound = 100 * time.Microsecond

// Durations is a histogram of how long something took. Its zero value is ready.
type Durations struct {
	counts [buckets + 1]atomic.Uint64 // the last: beyond every bound
	nanos  atomic.Uint64
}

// Observe counts one duration.
func (d *Durations) Observe(took time.Duration) {
	k, bound := 0, firstBound
	for k < buckets && took > bound {
		k, bound = k+1, 2*bound
	}
	d.counts[k].Add(1)
	d.nanos.Add(uint64(max(0, took)))
}

// Since counts the time since began.
func (d *Durations) Since(began time.Time) { d.Observe(time.Since(began)) }
