package collect

import (
	"encoding/binary"

	"github.com/sheafgrid/sheaf/task"
)

// set is a set of digests that can only grow and may hold a few more than were
// added: a Bloom filter in layers, each twice the size of the one before. What
// was added is always found, so a blob that is referred to is never taken for
// one that is not.
type set struct {
	layers []layer
}

// layer is one Bloom filter. Digests are uniform already, so their own bytes
// serve as its hashes.
type layer struct {
	words []uint64
	room  int // digests that may still be added
}

const (
	firstLayer   = 4096 // digests
	bitsEach     = 20   // per digest
	probes       = 7
	bytesOfProbe = 4
)

// add adds a digest.
func (s *set) add(d task.Digest) {
	if s.has(d) {
		return
	}
	if n := len(s.layers); n == 0 || s.layers[n-1].room == 0 {
		room := firstLayer << n
		s.layers = append(s.layers, layer{words: make([]uint64, room*bitsEach/64), room: room})
	}
	l := &s.layers[len(s.layers)-1]
	l.room--
	for i := range probes {
		word, bit := l.place(d, i)
		l.words[word] |= bit
	}
}

// has reports whether a digest was added, or seems to have been.
func (s *set) has(d task.Digest) bool {
	for i := range s.layers {
		if s.layers[i].has(d) {
			return true
		}
	}
	return false
}

func (l *layer) has(d task.Digest) bool {
	for i := range probes {
		if word, bit := l.place(d, i); l.words[word]&bit == 0 {
			return false
		}
	}
	return true
}

// place is where the i-th bit of a digest is.
func (l *layer) place(d task.Digest, i int) (word uint64, bit uint64) {
	h := uint64(binary.BigEndian.Uint32(d[i*bytesOfProbe:]))
	at := h * uint64(len(l.words)*64) >> 32
	return at / 64, 1 << (at % 64)
}
