package wasi

import (
	"strings"

	"github.com/sheafgrid/sheaf/task"
)

// create makes a file or a folder in a folder under /out, where no entry of
// that name is. A name that an output cannot have stops the program, and so do
// more entries than a task may leave.
func (s *System) create(folder *node, name string, isFolder bool) (*node, error) {
	if err := s.mayCreate(folder); err != nil {
		return nil, err
	}
	if err := checkName(folder, name, nil); err != nil {
		return nil, err
	}
	count, child := &s.files, newFile(name, folder)
	if isFolder {
		count, child = &s.folders, newFolder(name, folder)
	}
	if *count >= task.MaxOutputFiles {
		return nil, stop(task.ExitOutputLimit)
	}
	*count++
	folder.link(child, name)
	return child, nil
}

// mayCreate reports why a folder takes no new entry, whatever its name.
func (s *System) mayCreate(folder *node) error {
	if !folder.writable {
		return errReadOnly
	}
	if folder.unlinked {
		return errNoEntry
	}
	return nil
}

// checkName stops the program when an output cannot have this name. leaving is
// an entry that goes away when the new one comes, or nil.
//
// No two entries of one folder may differ only in case. That is what
// task.OutputList.Check asks of whole paths, asked of each part: then the
// outputs can be laid out on a file system that folds case, folders included.
func checkName(folder *node, name string, leaving *node) error {
	if task.CheckPath(folder.join(name)) != nil {
		return stop(task.ExitBadOutput)
	}
	if other := folder.folded[strings.ToLower(name)]; other != nil && other != leaving && other.name != name {
		return stop(task.ExitBadOutput)
	}
	return nil
}

// checkNames asks of everything under folder n, which is to stand at a path,
// what checkName asks of n: their paths may become too long, or too deep.
func checkNames(n *node, path string) error {
	if !n.isFolder() {
		return nil
	}
	longest, deepest := extent(n)
	if len(path)+longest > task.MaxPathBytes || task.CheckPath(path+strings.Repeat("/x", deepest)) != nil {
		return stop(task.ExitBadOutput)
	}
	return nil
}

// extent is how many bytes the paths under n add to its own at most, and how
// many parts.
func extent(n *node) (longest, deepest int) {
	for _, child := range n.children {
		l, d := extent(child)
		longest, deepest = max(longest, 1+len(child.name)+l), max(deepest, 1+d)
	}
	return longest, deepest
}

// remove takes a file or an empty folder away. What a file held stays
// accounted for until its last descriptor is closed.
func (s *System) remove(n *node) {
	n.unlink()
	if n.isFolder() {
		s.folders--
		return
	}
	s.files--
	s.release(n)
}

// release gives back what an unlinked file held once nobody has it open.
func (s *System) release(n *node) {
	if n.unlinked && n.opened == 0 && !n.isFolder() {
		s.used -= n.body.size
		n.body.resize(0, &s.spare)
	}
}

// rename moves n to a name in a folder, where another entry may stand that it
// may replace.
func (s *System) rename(n, folder *node, name string) error {
	if n.isFolder() && folder.inside(n) {
		return errInvalid
	}
	old := folder.children[name]
	switch {
	case old == n:
		return nil
	case old == nil:
	case old.isFolder() && !n.isFolder():
		return errIsFolder
	case !old.isFolder() && n.isFolder():
		return errNotFolder
	case len(old.children) > 0:
		return errNotEmpty
	}
	if err := checkName(folder, name, n); err != nil {
		return err
	}
	if err := checkNames(n, folder.join(name)); err != nil {
		return err
	}
	if old != nil {
		s.remove(old)
	}
	n.unlink()
	folder.link(n, name)
	return nil
}
