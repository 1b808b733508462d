package consensus

import (
	"testing"
	"testing/synctest"
	"time"
)

// A command that nobody waits for goes with the next one that somebody does, or
// alone when its patience ends, and makes that one wait no longer.
func TestPatientCommandsGoWithOthers(t *testing.T) {
	type came struct {
		after   time.Duration
		patient bool
	}
	for name, c := range map[string]struct {
		came []came
		at   []time.Duration // when entries are made
		of   []int           // how many commands they have
	}{
		"alone":            {[]came{{0, true}}, []time.Duration{patience}, []int{1}},
		"several":          {[]came{{0, true}, {patience / 2, true}}, []time.Duration{patience}, []int{2}},
		"with another":     {[]came{{0, true}, {3 * time.Millisecond, false}}, []time.Duration{3*time.Millisecond + gather}, []int{2}},
		"behind another":   {[]came{{0, false}, {gather / 2, true}}, []time.Duration{gather}, []int{2}},
		"somebody waits":   {[]came{{0, false}}, []time.Duration{gather}, []int{1}},
		"after an entry":   {[]came{{0, true}, {1, false}, {2 * gather, true}}, []time.Duration{1 + gather, 2*gather + patience}, []int{2, 1}},
		"one after others": {[]came{{0, true}, {patience + 1, true}}, []time.Duration{patience, 2*patience + 1}, []int{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, began := newQueue(), time.Now()
				for _, p := range c.came {
					time.AfterFunc(p.after, func() {
						if err := q.add(&proposal{command: []byte("c"), patient: p.patient, done: make(chan outcome, 1)}); err != nil {
							t.Error(err)
						}
					})
				}
				end := time.After(time.Second)
				for made := 0; ; {
					select {
					case <-q.kick:
					case <-end:
						if made != len(c.at) {
							t.Errorf("%d entries, want %d", made, len(c.at))
						}
						return
					}
					time.Sleep(q.toGather())
					n := len(q.take())
					if n == 0 {
						continue
					}
					if made == len(c.at) {
						t.Fatalf("an entry of %d more than wanted, after %s", n, time.Since(began))
					}
					if got := time.Since(began); got != c.at[made] || n != c.of[made] {
						t.Errorf("entry %d after %s with %d commands, want %s and %d", made, got, n, c.at[made], c.of[made])
					}
					made++
				}
			})
		})
	}
}
