package wasm_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/sheafgrid/sheaf/wasm"
)

// Random programs return what Go computes that they return, and count what it
// computes that they cost; with less than that as their limit, they are over.
func TestGeneratedPrograms(t *testing.T) {
	if racing {
		t.Skip("needs minutes under the race detector; run it without -race")
	}
	ended, stopped := 0, 0
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		g := &generator{rnd: rnd, functions: 1 + rnd.IntN(4)}
		module, bodies := g.program()
		m := &machine{bodies: bodies, memory: make([]byte, 1<<16), budget: 200_000}
		v, f := m.call(0, int32(seed))
		limit := noLimit
		if f == exhausted {
			limit = m.budget
		}
		got := runMetered(t, module, limit, "f", seed)
		switch {
		case f == exhausted:
			stopped++
			if !got.overLimit(limit) || got.trap == "" {
				t.Errorf("program %d: got %+v, want it stopped at %d", seed, got, limit)
			}
			continue
		case got.count != m.work:
			t.Errorf("program %d: counted %d, want %d", seed, got.count, m.work)
		case (got.trap != "") != (f == trapped), f != trapped && got.results != fmt.Sprint([]uint32{uint32(v)}):
			t.Errorf("program %d: got %+v, want %d (trap: %t)", seed, got, uint32(v), f == trapped)
		}
		ended++
		if m.work == 0 {
			continue
		}
		less := rnd.Uint64N(m.work)
		if got := runMetered(t, module, less, "f", seed); !got.overLimit(less) {
			t.Errorf("program %d with limit %d of %d: got %+v", seed, less, m.work, got)
		}
	}
	if ended < 100 || stopped < 10 {
		t.Errorf("%d programs ended and %d were stopped: too few to show anything", ended, stopped)
	}
	t.Logf("%d programs ended, %d were stopped", ended, stopped)
}

func slowly(tb testing.TB, module []byte) []byte {
	tb.Helper()
	b, err := wasm.CountSlowly(module)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
