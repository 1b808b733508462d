package state

import (
	"math"
	"math/bits"
)

// bitmap is a growing set of task numbers that finds its next member in a
// time that hardly grows with the set: one summary bit stands for 64 members.
type bitmap struct {
	words   []uint64
	summary []uint64 // bit w: words[w] is not zero
	count   uint64
}

func (m *bitmap) set(i uint64, in bool) {
	w, bit := i/64, uint64(1)<<(i%64)
	if uint64(len(m.words)) <= w {
		if !in {
			return
		}
		m.words = append(m.words, make([]uint64, w+1-uint64(len(m.words)))...)
		m.summary = append(m.summary, make([]uint64, w/64+1-uint64(len(m.summary)))...)
	}
	was := m.words[w]&bit != 0
	switch {
	case in && !was:
		m.words[w] |= bit
		m.summary[w/64] |= 1 << (w % 64)
		m.count++
	case !in && was:
		m.words[w] &^= bit
		if m.words[w] == 0 {
			m.summary[w/64] &^= 1 << (w % 64)
		}
		m.count--
	}
}

// full reports whether all from one number up to another are members. Both are
// multiples of 64.
func (m *bitmap) full(from, to uint64) bool {
	if to/64 > uint64(len(m.words)) {
		return false
	}
	for _, w := range m.words[from/64 : to/64] {
		if w != math.MaxUint64 {
			return false
		}
	}
	return true
}

// next is the smallest member not below from.
func (m *bitmap) next(from uint64) (i uint64, ok bool) {
	w := from / 64
	if w >= uint64(len(m.words)) {
		return 0, false
	}
	if rest := m.words[w] >> (from % 64) << (from % 64); rest != 0 {
		return w*64 + uint64(bits.TrailingZeros64(rest)), true
	}
	w++
	for s := w / 64; s < uint64(len(m.summary)); s++ {
		rest := m.summary[s]
		if s == w/64 {
			rest = rest >> (w % 64) << (w % 64)
		}
		if rest != 0 {
			w := s*64 + uint64(bits.TrailingZeros64(rest))
			return w*64 + uint64(bits.TrailingZeros64(m.words[w])), true
		}
	}
	return 0, false
}
