package wasi

// direntSize is the size of WASI's dirent, which a name follows.
const direntSize = 24

// fdReaddir(fd, buffer *u8, n, cookie u64, used *u32)
//
// Entries come in the order of their names, without "." and "..", as POSIX
// allows. A cookie counts them. A listing shows the folder as it was when the
// listing began (cookie 0), so that a program may remove what it finds as it
// goes.
func (s *System) fdReaddir(c call) error {
	d, err := s.at(c.u32(0))
	if err != nil {
		return err
	}
	if !d.isFolder() {
		return errNotFolder
	}
	w, err := c.window(c.u32(1), uint64(c.u32(2)))
	if err != nil {
		return err
	}
	used, err := c.result(4, 4)
	if err != nil {
		return err
	}
	cookie := c.u64(3)
	if cookie == 0 || d.listing == nil {
		d.listing = d.node.list()
	}
	done := 0
	for done < len(w) && cookie < uint64(len(d.listing)) {
		n := d.listing[cookie]
		cookie++
		done += putDirent(w[done:], cookie, n)
	}
	put32(used, uint32(done))
	return nil
}

// putDirent writes as much of an entry as fits: a program takes a full buffer
// to mean that there is more.
func putDirent(w []byte, next uint64, n *node) int {
	var head [direntSize]byte
	put64(head[:], next)
	put64(head[8:], n.inode())
	put32(head[16:], uint32(len(n.name)))
	head[20] = typeFile
	if n.isFolder() {
		head[20] = typeFolder
	}
	done := copy(w, head[:])
	return done + copy(w[done:], n.name)
}
