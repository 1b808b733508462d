package wasi

// device is the number of the one device that all files lie on.
const device = 1

// fdFilestatGet(fd, filestat *[64]u8)
func (s *System) fdFilestatGet(c call) error {
	d, err := s.at(c.u32(0))
	if err != nil {
		return err
	}
	w, err := c.result(1, 64)
	if err != nil {
		return err
	}
	if d.node == nil {
		putFilestat(w, uint64(c.u32(0)), d.fileType(), 0)
		return nil
	}
	d.node.putFilestat(w)
	return nil
}

// pathFilestatGet(fd, lookup, path, n, filestat *[64]u8)
func (s *System) pathFilestatGet(c call) error {
	at, err := s.lookup(c, 0, 2, 3)
	if err != nil {
		return err
	}
	if at.node == nil {
		return errNoEntry
	}
	w, err := c.result(4, 64)
	if err != nil {
		return err
	}
	at.node.putFilestat(w)
	return nil
}

func (n *node) putFilestat(w []byte) {
	if n.isFolder() {
		putFilestat(w, n.inode(), typeFolder, 0)
		return
	}
	putFilestat(w, n.inode(), typeFile, n.body.size)
}

// putFilestat writes WASI's filestat: every file has one link and is as old as
// the program's start.
func putFilestat(w []byte, inode uint64, fileType byte, size uint64) {
	clear(w)
	put64(w, device)
	put64(w[8:], inode)
	w[16] = fileType
	put64(w[24:], 1)
	put64(w[32:], size)
	put64(w[40:], epoch)
	put64(w[48:], epoch)
	put64(w[56:], epoch)
}
