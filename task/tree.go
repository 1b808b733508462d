package task

import (
	"crypto/sha256"
	"encoding/binary"
)

// leafSize is how long a leaf is, in bytes.
const leafSize = 8 + 2 + sha256.Size

// Leaf is what a job's result tree says of one task: its index, how it ended,
// and the digest of its outputs, nothing else, so that the same job has the
// same root whoever computed it.
func Leaf(index uint64, exit Exit, output Digest) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, leafSize), index)
	b = binary.BigEndian.AppendUint16(b, uint16(exit))
	return append(b, output[:]...)
}

// FailedLeaf is the fixed leaf of a task that ended failed.
func FailedLeaf(index uint64) []byte { return Leaf(index, ExitFailed, Digest{}) }

// Tree builds the root of an RFC 6962 Merkle tree from leaves, or from the
// roots of whole subtrees, given in order. It keeps one digest per level.
// The zero Tree is empty and ready.
type Tree struct {
	size  uint64
	stack []Digest // roots of the perfect subtrees that size is made of, largest first
}

// Add appends one leaf.
func (t *Tree) Add(leaf []byte) { t.AddSubtree(LeafHash(leaf), 1) }

// AddSubtree appends a subtree of n leaves by its root. All subtrees but the
// last must have the same size, a power of two; then the root is that of the
// tree of all their leaves (RFC 6962, section 2.1: a tree is split at the
// largest power of two below its size).
func (t *Tree) AddSubtree(root Digest, n uint64) {
	t.stack = append(t.stack, root)
	before := t.size
	t.size += n
	if n&(n-1) != 0 {
		return // a ragged subtree is the last: Root folds it in
	}
	for merged := n; before&merged != 0; merged <<= 1 {
		k := len(t.stack)
		t.stack[k-2] = NodeHash(t.stack[k-2], t.stack[k-1])
		t.stack = t.stack[:k-1]
	}
}

// Size is how many leaves were added.
func (t *Tree) Size() uint64 { return t.size }

// Root is the root of what was added so far; that of no leaves is the digest
// of the empty string.
func (t *Tree) Root() Digest {
	if len(t.stack) == 0 {
		return EmptyDigest
	}
	root := t.stack[len(t.stack)-1]
	for i := len(t.stack) - 2; i >= 0; i-- {
		root = NodeHash(t.stack[i], root)
	}
	return root
}

// LeafHash is RFC 6962's hash of a leaf.
func LeafHash(leaf []byte) Digest {
	var room [1 + leafSize]byte // for one of ours; the first byte is 0
	return sha256.Sum256(append(room[:1], leaf...))
}

// NodeHash is RFC 6962's hash of an inner node.
func NodeHash(left, right Digest) Digest {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}
