package schedule

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// An order finds what going over all of its items finds.
func TestOrderIsLikeAList(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		var o order[int]
		items := make([]item[int], 1+rnd.IntN(400))
		outs := make([]int, len(items))
		for i := range items {
			items[i].of, items[i].number = i, uint32(i)
		}
		for step := range 2000 {
			i := rnd.IntN(len(items))
			need := uint64(rnd.IntN(5))
			if rnd.IntN(2) == 0 {
				need = items[i].need
			}
			outs[i] = rnd.IntN(4)
			o.file(&items[i], rnd.IntN(5) > 0, need, outs[i])
			memory := uint64(rnd.IntN(6))
			var all []*item[int]
			next := -1
			for k := range items {
				if !items[k].in || items[k].need > memory {
					continue
				}
				all = append(all, &items[k])
				if next < 0 || outs[k] < outs[next] {
					next = k
				}
			}
			if got := o.next(memory); got == nil && next >= 0 || got != nil && got.of != next {
				t.Fatalf("seed %d, step %d: next of those up to %d is %+v, want %d", seed, step, memory, got, next)
			}
			if got := o.fitting(memory); got != len(all) {
				t.Fatalf("seed %d, step %d: %d fit into %d, want %d", seed, step, got, memory, len(all))
			}
			slices.SortFunc(all, func(a, b *item[int]) int {
				if a.before(b) {
					return -1
				}
				return 1
			})
			if len(all) > 0 {
				if k := rnd.IntN(len(all)); o.at(k) != all[k] {
					t.Fatalf("seed %d, step %d: item %d is %+v, want %+v", seed, step, k, o.at(k), all[k])
				}
				if o.least() != all[0] {
					t.Fatalf("seed %d, step %d: least is %+v, want %+v", seed, step, o.least(), all[0])
				}
			}
		}
	}
}

// What an order does takes few steps, whatever order its items came in.
func TestOrderIsShallow(t *testing.T) {
	const n = 100_000
	var o order[int]
	items := make([]item[int], n)
	for i := range items {
		items[i].number = uint32(i)
		o.file(&items[i], true, uint64(i%3), 0)
	}
	var depth func(*item[int]) int
	depth = func(x *item[int]) int {
		if x == nil {
			return 0
		}
		return 1 + max(depth(x.left), depth(x.right))
	}
	if d := depth(o.root); d > 60 {
		t.Errorf("%d items lie %d deep", n, d)
	}
}
