package dispatch

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/coordinator/schedule"
	"github.com/sheafgrid/sheaf/coordinator/state"
)

// Queues that followed the state from its beginning give the same tasks as such
// that are made anew: what view tells of a job changes with the jobs that the
// state says have changed.
func TestQueuesFollowTheState(t *testing.T) {
	for seed := range uint64(5) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		f := newFleet(t, 3, 0, 8)
		f.tasks(t, 24, 25)
		first := func(uint64) uint64 { return 0 }
		for step := range 300 {
			h := rnd.IntN(len(f.hosts))
			x := onItsWay{host: h, command: &state.Exchange{Request: f.request(fleetKey(2 * uint64(h)))}}
			x.picks, _ = schedule.For(view{f.state}, f.overlay, f.hosts[h], rnd.IntN(12), f.rnd.Uint64N)
			f.finish(t, &x)
			f.overlay.Settle(x.picks, true, f.hosts[h])
			if rnd.IntN(5) > 0 {
				continue
			}
			if n := f.state.ActiveJobs(); rnd.IntN(8) == 0 && len(n) > 0 {
				j, _ := f.state.Job(n[rnd.IntN(len(n))])
				f.apply(t, &state.CancelJob{Request: f.request(f.publisher), Job: j.ID})
			}
			for stage, ok := f.state.NextReady(0); ok; stage, ok = f.state.NextReady(stage + 1) {
				f.apply(t, &state.Release{Stage: stage})
			}
			anew := schedule.NewOverlay()
			for _, h := range f.hosts {
				want, why := schedule.For(view{f.state}, anew, h, 9, first)
				got, because := schedule.For(view{f.state}, f.overlay, h, 9, first)
				if !slices.Equal(got, want) || because != why {
					t.Fatalf("seed %d, step %d: host %d got %v because %q; made anew, %v because %q", seed, step, h.ID, got, because, want, why)
				}
				anew.Settle(want, false, h)
				f.overlay.Settle(got, false, h)
			}
		}
		if len(f.state.ActiveJobs()) == 24 {
			t.Errorf("seed %d: no job ended", seed)
		}
	}
}
