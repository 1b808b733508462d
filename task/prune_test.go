package task_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

// A pruned tree with its gaps filled has the root of the whole tree, and is small.
func TestPrunedTreeGrowsBack(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	leaf := func(i uint64) []byte { return fmt.Append(nil, "leaf ", i) }
	for _, n := range []uint64{1, 2, 3, 5, 64, 100, 1000, 4095, 4096} {
		var whole task.Tree
		for i := range n {
			whole.Add(leaf(i))
		}
		for _, k := range []uint64{0, 1, 2, 7, 64} {
			var gaps []uint16
			for range min(k, n) {
				gaps = append(gaps, uint16(rnd.Uint64N(n)))
			}
			slices.Sort(gaps)
			gaps = slices.Compact(gaps)
			known := func(i uint64) []byte {
				if slices.Contains(gaps, uint16(i)) {
					t.Fatalf("%d leaves, gaps %v: asked for leaf %d, which is not known", n, gaps, i)
				}
				return leaf(i)
			}
			hashes := task.Prune(n, gaps, known)
			if want := task.PrunedSize(n, gaps); len(hashes) != want || len(hashes) > 12*max(1, len(gaps)) {
				t.Errorf("%d leaves, %d gaps: %d hashes, counted %d", n, len(gaps), len(hashes), want)
			}
			if got := task.Graft(n, gaps, hashes, leaf); got != whole.Root() {
				t.Errorf("%d leaves, gaps %v: the root is %s, want %s", n, gaps, got.Short(), whole.Root().Short())
			}
			if len(gaps) > 0 && task.Graft(n, gaps, hashes, func(uint64) []byte { return nil }) == whole.Root() {
				t.Errorf("%d leaves, gaps %v: other leaves give the same root", n, gaps)
			}
		}
	}
}
