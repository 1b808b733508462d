package sandbox

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// callGate keeps Go's garbage collector out of the way of a compiled program.
//
// A collection must stop every goroutine for a moment, and machine code that
// an engine made cannot be stopped: a collection that begins while a program
// computes would hold all other goroutines until the program's next call, an
// hour perhaps, heartbeat and watcher included. So collections happen only
// inside of calls, on the program's own goroutine, as often as there is
// something to collect.
type callGate struct {
	begun  bool
	calls  uint
	sample [1]metrics.Sample
	last   uint64 // bytes ever allocated, as of the last collection
}

const (
	callsPerLook   = 64       // a look takes 0.2 µs; no call leaves more than half a MiB
	garbagePerTurn = 32 << 20 // bytes
)

// begin takes over from the automatic collector.
func (g *callGate) begin() {
	g.begun = true
	debug.SetGCPercent(-1)
	debug.FreeOSMemory() // what compiling left
	g.sample[0].Name = "/gc/heap/allocs:bytes"
	g.last = g.allocated()
}

// end hands over to the automatic collector.
func (g *callGate) end() {
	if g.begun {
		debug.SetGCPercent(100)
	}
}

// pass is called at the beginning of each call.
func (g *callGate) pass() {
	if g.calls++; !g.begun || g.calls%callsPerLook != 0 {
		return
	}
	if now := g.allocated(); now-g.last > garbagePerTurn {
		runtime.GC()
		g.last = now
	}
}

func (g *callGate) allocated() uint64 {
	metrics.Read(g.sample[:])
	return g.sample[0].Value.Uint64()
}
