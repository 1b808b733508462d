package wasi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sheafgrid/sheaf/task"
)

// maxInputEntries bounds the files and folders under /in, whose paths a
// publisher chooses.
const maxInputEntries = 1 << 17

// node is a file or a folder.
type node struct {
	name     string // of a root: its whole path
	parent   *node  // nil: a root. A node that was unlinked keeps its last parent.
	unlinked bool
	writable bool // it is /out or lies under it
	opened   int  // descriptors that hold it

	children map[string]*node // of a folder; nil: a file
	folded   map[string]*node // the same under lower-case names, where writable
	sorted   []*node          // children by name; nil: to be made again; shared with listings, never changed in place

	body body // of a file
}

func newFolder(name string, parent *node) *node {
	n := &node{name: name, parent: parent, children: map[string]*node{}, folded: map[string]*node{}}
	n.writable = parent != nil && parent.writable
	return n
}

func newFile(name string, parent *node) *node {
	return &node{name: name, parent: parent, writable: parent.writable}
}

func (n *node) isFolder() bool { return n.children != nil }

// link puts child into folder n under a name that is free.
func (n *node) link(child *node, name string) {
	child.name, child.parent, child.unlinked = name, n, false
	n.children[name] = child
	n.sorted = nil
	if n.writable {
		n.folded[strings.ToLower(name)] = child
	}
}

// unlink takes child out of its folder.
func (n *node) unlink() {
	delete(n.parent.children, n.name)
	n.parent.sorted = nil
	if n.writable {
		delete(n.parent.folded, strings.ToLower(n.name))
	}
	n.unlinked = true
}

// list returns the children in the order of their names.
func (n *node) list() []*node {
	if n.sorted == nil {
		n.sorted = make([]*node, 0, len(n.children))
		for _, child := range n.children {
			n.sorted = append(n.sorted, child)
		}
		slices.SortFunc(n.sorted, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	}
	return n.sorted
}

// join is the path of a name in folder n, from the root on, as task.CheckPath
// reads it.
func (n *node) join(name string) string {
	for ; n.parent != nil; n = n.parent {
		name = n.name + "/" + name
	}
	return name
}

// inode is a number made of the node's whole path, FNV-1a over its bytes: the
// same on every machine, and equal for no two files of a program but by
// accident.
func (n *node) inode() uint64 {
	h := uint64(0xcbf29ce484222325)
	if n.parent != nil {
		h = fnv(n.parent.inode(), "/")
	}
	return fnv(h, n.name)
}

func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return h
}

// inside reports whether n is folder or lies anywhere under it.
func (n *node) inside(folder *node) bool {
	for ; n != nil; n = n.parent {
		if n == folder {
			return true
		}
	}
	return false
}

// addInput lays out one input under the root n and counts the entries made.
func (n *node) addInput(in Input, entries *int) error {
	if err := task.CheckPath(in.Path); err != nil {
		return fmt.Errorf("%w: %w", ErrBadInput, err)
	}
	parts := strings.Split(in.Path, "/")
	for _, part := range parts[:len(parts)-1] {
		child := n.children[part]
		if child == nil {
			child = newFolder(part, n)
			n.link(child, part)
			*entries++
		}
		if !child.isFolder() {
			return fmt.Errorf("%w: %q lies under another input", ErrBadInput, in.Path)
		}
		n = child
	}
	name := parts[len(parts)-1]
	if n.children[name] != nil {
		return fmt.Errorf("%w: %q stands twice, or another input lies under it", ErrBadInput, in.Path)
	}
	if *entries++; *entries > maxInputEntries {
		return fmt.Errorf("%w: more than %d files and folders", ErrBadInput, maxInputEntries)
	}
	file := newFile(name, n)
	file.body = body{fixed: in.Content, await: in.Await, size: uint64(len(in.Content))}
	n.link(file, name)
	return nil
}

// outputs appends the files under n, in the order of task.OutputList: by whole
// path, which is not the order of a walk ("a.b" comes before "a/b").
func (n *node) outputs(list []Output, prefix string) []Output {
	list = n.appendOutputs(list, prefix)
	slices.SortFunc(list, func(a, b Output) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (n *node) appendOutputs(list []Output, prefix string) []Output {
	for _, child := range n.list() {
		if child.isFolder() {
			list = child.appendOutputs(list, prefix+child.name+"/")
		} else {
			list = append(list, Output{Name: prefix + child.name, body: &child.body})
		}
	}
	return list
}
