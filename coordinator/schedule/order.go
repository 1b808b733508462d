package schedule

import "math"

// order is a set of items and knows whose turn it is: the one with the fewest
// attempts out, the oldest of several, among those that need no more than so
// much memory. All it does takes a time that grows with the logarithm of what
// is in it; it allocates nothing, for items are the caller's.
//
// It is a search tree by need and number in which each item knows the first turn
// of those below it. Weights made of the numbers keep it balanced (a treap).
type order[T any] struct{ root *item[T] }

// item is a job or a project in an order. Only file changes it.
type item[T any] struct {
	of     T
	number uint32 // the lower, the older
	in     bool   // it is in an order
	need   uint64 // bytes of memory
	turn   uint64 // attempts out · 2³² + number: the lowest is next

	first       uint64 // the lowest turn of this one and those below
	left, right *item[T]
	count       int // this one and those below
}

// file puts an item in, or takes it out, or to its new place.
func (o *order[T]) file(x *item[T], in bool, need uint64, out int) {
	turn := uint64(out)<<32 | uint64(x.number)
	if x.in && in && need == x.need {
		if turn != x.turn {
			x.turn = turn
			o.root.sumTo(x)
		}
		return
	}
	if x.in {
		o.root = o.root.without(x)
	}
	x.in, x.need, x.turn = in, need, turn
	if in {
		o.root = o.root.with(x)
	}
}

// next is whose turn it is among those that need at most so much memory.
func (o *order[T]) next(memory uint64) *item[T] {
	first, at := uint64(math.MaxUint64), (*item[T])(nil)
	for n := o.root; n != nil; {
		if n.need > memory {
			n = n.left
			continue
		}
		if n.turn < first {
			first, at = n.turn, n
		}
		if n.left != nil && n.left.first < first {
			first, at = n.left.first, n.left
		}
		n = n.right
	}
	for at != nil && at.turn != first {
		if at.left != nil && at.left.first == first {
			at = at.left
		} else {
			at = at.right
		}
	}
	return at
}

// least is the item that needs the least memory.
func (o *order[T]) least() *item[T] {
	n := o.root
	for n != nil && n.left != nil {
		n = n.left
	}
	return n
}

// fitting is how many items need at most so much memory.
func (o *order[T]) fitting(memory uint64) (count int) {
	for n := o.root; n != nil; {
		if n.need > memory {
			n = n.left
			continue
		}
		count += 1 + n.left.size()
		n = n.right
	}
	return count
}

// at is item k of those by need.
func (o *order[T]) at(k int) *item[T] {
	n := o.root
	for {
		switch left := n.left.size(); {
		case k < left:
			n = n.left
		case k == left:
			return n
		default:
			n, k = n.right, k-left-1
		}
	}
}

func (x *item[T]) size() int {
	if x == nil {
		return 0
	}
	return x.count
}

// before is how items lie in the tree.
func (x *item[T]) before(y *item[T]) bool {
	return x.need < y.need || x.need == y.need && x.number < y.number
}

// above reports whether x lies higher in the tree than y. Numbers that follow
// each other get weights that have nothing to do with each other.
func (x *item[T]) above(y *item[T]) bool {
	a, b := weight(x.number), weight(y.number)
	return a > b || a == b && x.before(y)
}

func weight(n uint32) uint32 {
	n = (n ^ n>>16) * 0x7feb352d
	n = (n ^ n>>15) * 0x846ca68b
	return n ^ n>>16
}

// sum looks again at what lies directly below.
func (x *item[T]) sum() {
	x.first, x.count = x.turn, 1
	if l := x.left; l != nil {
		x.first, x.count = min(x.first, l.first), x.count+l.count
	}
	if r := x.right; r != nil {
		x.first, x.count = min(x.first, r.first), x.count+r.count
	}
}

// sumTo does so from x, whose turn has changed, up to the tree's root n, or to
// where it makes no difference any more.
func (n *item[T]) sumTo(x *item[T]) (differs bool) {
	switch {
	case n == x:
		differs = true
	case x.before(n):
		differs = n.left.sumTo(x)
	default:
		differs = n.right.sumTo(x)
	}
	if differs {
		before := n.first
		n.sum()
		differs = n.first != before
	}
	return differs
}

// with is the tree n and x.
func (n *item[T]) with(x *item[T]) *item[T] {
	if n == nil || x.above(n) {
		x.left, x.right = n.split(x)
		x.sum()
		return x
	}
	if x.before(n) {
		n.left = n.left.with(x)
	} else {
		n.right = n.right.with(x)
	}
	n.sum()
	return n
}

// without is the tree n, from which x is taken out.
func (n *item[T]) without(x *item[T]) *item[T] {
	switch {
	case n == x:
		joined := join(x.left, x.right)
		x.left, x.right = nil, nil
		return joined
	case x.before(n):
		n.left = n.left.without(x)
	default:
		n.right = n.right.without(x)
	}
	n.sum()
	return n
}

// split divides the tree n into what lies before x and behind it.
func (n *item[T]) split(x *item[T]) (before, behind *item[T]) {
	if n == nil {
		return nil, nil
	}
	if n.before(x) {
		n.right, behind = n.right.split(x)
		n.sum()
		return n, behind
	}
	before, n.left = n.left.split(x)
	n.sum()
	return before, n
}

// join is the tree of a and b; all of a lies before b.
func join[T any](a, b *item[T]) *item[T] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.above(b):
		a.right = join(a.right, b)
		a.sum()
		return a
	default:
		b.left = join(a, b.left)
		b.sum()
		return b
	}
}
