package task_test

import (
	"fmt"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

// slowRoot is RFC 6962's definition, word by word.
func slowRoot(leaves [][]byte) task.Digest {
	switch len(leaves) {
	case 0:
		return task.EmptyDigest
	case 1:
		return task.LeafHash(leaves[0])
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return task.NodeHash(slowRoot(leaves[:k]), slowRoot(leaves[k:]))
}

func TestTreeIsRFC6962(t *testing.T) {
	var leaves [][]byte
	for n := range 70 {
		var whole task.Tree
		for _, l := range leaves {
			whole.Add(l)
		}
		if got, want := whole.Root(), slowRoot(leaves); got != want {
			t.Fatalf("%d leaves: root %s, want %s", n, got.Short(), want.Short())
		}
		for _, chunk := range []int{1, 2, 4, 8, 16} {
			var joined task.Tree
			for from := 0; from < len(leaves); from += chunk {
				part := leaves[from:min(from+chunk, len(leaves))]
				joined.AddSubtree(slowRoot(part), uint64(len(part)))
			}
			if got, want := joined.Root(), slowRoot(leaves); got != want {
				t.Fatalf("%d leaves in chunks of %d: root %s, want %s", n, chunk, got.Short(), want.Short())
			}
		}
		leaves = append(leaves, []byte(fmt.Sprint("leaf ", n)))
	}
}

// The vectors of Certificate Transparency's reference implementation.
func TestTreeKnownRoots(t *testing.T) {
	inputs := []string{"", "\x00", "\x10", "\x20\x21", "\x30\x31", "\x40\x41\x42\x43", "\x50\x51\x52\x53\x54\x55\x56\x57", "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"}
	var tree task.Tree
	for _, in := range inputs {
		tree.Add([]byte(in))
	}
	if got, want := tree.Root().String(), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"; got != want {
		t.Errorf("root %s, want %s", got, want)
	}
}
