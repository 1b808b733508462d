package wasi

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxPath bounds a path that a program passes, in bytes.
const maxPath = 4096

// place is where a path leads.
type place struct {
	folder *node  // that holds the last part
	name   string // the last part; empty: the path leads to folder itself
	node   *node  // what is there; nil: nothing
	slash  bool   // the path ends with a slash: only a folder will do
}

// lookup finds the place that a call's path leads to: arguments fd, path and
// n begin at i. A path never leaves the folder it starts from; there are no
// links that could.
func (s *System) lookup(c call, fd, path, n int) (place, error) {
	start, err := s.folderAt(c.u32(fd))
	if err != nil {
		return place{}, err
	}
	text, err := c.path(path, n)
	if err != nil {
		return place{}, err
	}
	return start.find(text)
}

// path copies a path out of the program's memory: the pointer is argument i,
// the length argument n.
func (c call) path(i, n int) (string, error) {
	if c.u32(n) > maxPath {
		return "", errNameTooLong
	}
	w, err := c.window(c.u32(i), uint64(c.u32(n)))
	if err != nil {
		return "", err
	}
	switch {
	case len(w) == 0:
		return "", errNoEntry
	case !utf8.Valid(w) || bytes.IndexByte(w, 0) >= 0:
		return "", errIllegalBytes
	case w[0] == '/':
		return "", errNotCapable
	}
	return string(w), nil
}

// find walks a path from folder n.
func (n *node) find(path string) (place, error) {
	at := place{folder: n, node: n}
	depth := 0
	for part := range strings.SplitSeq(path, "/") {
		at.slash = part == ""
		if part == "" || part == "." {
			continue
		}
		if at.node == nil {
			return place{}, errNoEntry
		}
		if !at.node.isFolder() {
			return place{}, errNotFolder
		}
		if part == ".." {
			if depth == 0 {
				return place{}, errNotCapable
			}
			depth--
			at = place{folder: at.node.parent, node: at.node.parent}
			continue
		}
		depth++
		at = place{folder: at.node, name: part, node: at.node.children[part]}
	}
	if at.slash && at.node != nil && !at.node.isFolder() {
		return place{}, errNotFolder
	}
	return at, nil
}
