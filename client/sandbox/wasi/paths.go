package wasi

// How a path is opened.
const (
	openCreate   = 1 << 0
	openFolder   = 1 << 1
	openNew      = 1 << 2
	openTruncate = 1 << 3
	openAll      = 1<<4 - 1
)

// pathOpen(fd, lookup, path, n, oflags, rights u64, inherited u64, fdflags, opened *u32)
func (s *System) pathOpen(c call) error {
	at, err := s.lookup(c, 0, 2, 3)
	if err != nil {
		return err
	}
	how, flags := c.u32(4), c.u32(7)
	if how&^openAll != 0 || flags&^flagsAll != 0 {
		return errInvalid
	}
	result, err := c.result(8, 4)
	if err != nil {
		return err
	}
	fd, err := s.free()
	if err != nil {
		return err
	}
	d := &descriptor{readable: c.u64(5)&rightRead != 0, writable: c.u64(5)&rightWrite != 0, flags: uint16(flags)}
	if d.node, err = s.openNode(at, how, d.writable); err != nil {
		return err
	}
	if !d.node.isFolder() {
		d.body = &d.node.body
	}
	d.node.opened++
	s.open[fd] = d
	put32(result, fd)
	return nil
}

// openNode finds, creates or cuts what a path is opened for.
func (s *System) openNode(at place, how uint32, write bool) (*node, error) {
	n := at.node
	switch {
	case n == nil && how&openCreate == 0:
		return nil, errNoEntry
	case n == nil && (how&openFolder != 0 || at.slash):
		return nil, errInvalid
	case n == nil:
		return s.create(at.folder, at.name, false)
	case how&(openCreate|openNew) == openCreate|openNew:
		return nil, errExists
	case how&openFolder != 0 && !n.isFolder():
		return nil, errNotFolder
	case n.isFolder() && (how&openTruncate != 0 || write && how&openFolder == 0):
		return nil, errIsFolder
	case n.isFolder():
		return n, nil
	case !n.writable && (write || how&openTruncate != 0):
		return nil, errReadOnly
	}
	if how&openTruncate != 0 {
		return n, s.resize(&n.body, 0)
	}
	return n, nil
}

// pathCreateDirectory(fd, path, n)
func (s *System) pathCreateDirectory(c call) error {
	at, err := s.lookup(c, 0, 1, 2)
	if err != nil {
		return err
	}
	if at.node != nil {
		return errExists
	}
	_, err = s.create(at.folder, at.name, true)
	return err
}

// pathUnlinkFile(fd, path, n)
func (s *System) pathUnlinkFile(c call) error {
	at, err := s.lookup(c, 0, 1, 2)
	switch {
	case err != nil:
		return err
	case at.node == nil:
		return errNoEntry
	case at.node.isFolder():
		return errIsFolder
	case !at.node.writable:
		return errReadOnly
	}
	s.remove(at.node)
	return nil
}

// pathRemoveDirectory(fd, path, n)
func (s *System) pathRemoveDirectory(c call) error {
	at, err := s.lookup(c, 0, 1, 2)
	switch {
	case err != nil:
		return err
	case at.node == nil:
		return errNoEntry
	case !at.node.isFolder():
		return errNotFolder
	case !at.node.writable:
		return errReadOnly
	case at.name == "": // a root, or a path that ends with . or ..
		return errBusy
	case len(at.node.children) > 0:
		return errNotEmpty
	}
	s.remove(at.node)
	return nil
}

// pathRename(fd, path, n, newFd, newPath, newN)
func (s *System) pathRename(c call) error {
	from, err := s.lookup(c, 0, 1, 2)
	if err != nil {
		return err
	}
	to, err := s.lookup(c, 3, 4, 5)
	switch {
	case err != nil:
		return err
	case from.node == nil:
		return errNoEntry
	case from.name == "" || to.name == "":
		return errBusy
	case !from.node.writable:
		return errReadOnly
	case to.slash && !from.node.isFolder():
		return errNotFolder
	}
	if err := s.mayCreate(to.folder); err != nil {
		return err
	}
	return s.rename(from.node, to.folder, to.name)
}
