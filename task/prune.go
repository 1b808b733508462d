package task

import "math/bits"

// A pruned tree stands for leaves that are known, of a tree that has gaps: the
// roots of the largest subtrees without one, in order. With the leaves of the
// gaps they give the root, and for k gaps among n leaves they are about
// k·log2(n/k). Gaps are places of leaves, ascending.

// Prune makes the pruned tree of n leaves; it asks for those that are no gaps,
// in order.
func Prune(n uint64, gaps []uint16, leaf func(i uint64) []byte) (hashes []Digest) {
	eachPruned(0, n, gaps, func(from, size uint64) {
		var t Tree
		for i := from; i < from+size; i++ {
			t.Add(leaf(i))
		}
		hashes = append(hashes, t.Root())
	})
	return hashes
}

// Graft is the root of the tree of n leaves that Prune made hashes of, with the
// leaves of the gaps.
func Graft(n uint64, gaps []uint16, hashes []Digest, leaf func(i uint64) []byte) Digest {
	var next func(from, size uint64, gaps []uint16) Digest
	next = func(from, size uint64, gaps []uint16) Digest {
		switch {
		case len(gaps) == 0:
			root := hashes[0]
			hashes = hashes[1:]
			return root
		case size == 1:
			return LeafHash(leaf(from))
		}
		left := splitOf(size)
		k := gapsBelow(gaps, from+left)
		root := next(from, left, gaps[:k])
		return NodeHash(root, next(from+left, size-left, gaps[k:]))
	}
	return next(0, n, gaps)
}

// PrunedSize is how many hashes Prune makes.
func PrunedSize(n uint64, gaps []uint16) (count int) {
	eachPruned(0, n, gaps, func(uint64, uint64) { count++ })
	return count
}

// eachPruned calls fn for each of the largest subtrees without a gap.
func eachPruned(from, size uint64, gaps []uint16, fn func(from, size uint64)) {
	switch {
	case len(gaps) == 0:
		fn(from, size)
	case size > 1:
		left := splitOf(size)
		k := gapsBelow(gaps, from+left)
		eachPruned(from, left, gaps[:k], fn)
		eachPruned(from+left, size-left, gaps[k:], fn)
	}
}

// splitOf is the largest power of two below n, which is above 1 (RFC 6962,
// section 2.1).
func splitOf(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

// gapsBelow is how many gaps lie before a place.
func gapsBelow(gaps []uint16, place uint64) (k int) {
	for k < len(gaps) && uint64(gaps[k]) < place {
		k++
	}
	return k
}
