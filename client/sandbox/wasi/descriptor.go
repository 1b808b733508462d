package wasi

// maxOpen bounds the descriptors that a program has open at a time.
const maxOpen = 1024

// stream tells a standard stream from what is open in the file system.
type stream uint8

const (
	streamNone stream = iota
	streamIn          // standard input, which is empty
	streamOut         // standard output or standard error
)

// descriptor is something that a program has open.
type descriptor struct {
	stream    stream
	body      *body // of a stream out, or of a file; nil: a folder or standard input
	node      *node // nil: a stream
	preopened bool
	readable  bool
	writable  bool
	flags     uint16
	offset    uint64
	listing   []*node // of a folder, as it was when its listing began
}

// The flags of a descriptor.
const (
	flagAppend = 1 << 0
	flagsAll   = 1<<5 - 1 // append, dsync, nonblock, rsync, sync
)

// The rights that matter here. All others are given and not looked at.
const (
	rightRead  = 1 << 1
	rightSeek  = 1 << 2
	rightTell  = 1 << 5
	rightWrite = 1 << 6
	rightsAll  = 1<<30 - 1
)

// WASI's file types.
const (
	typeUnknown = 0 // of a stream: it is no terminal
	typeFolder  = 3
	typeFile    = 4
)

func (d *descriptor) isFolder() bool { return d.node != nil && d.node.isFolder() }

func (d *descriptor) fileType() byte {
	switch {
	case d.stream != streamNone:
		return typeUnknown
	case d.isFolder():
		return typeFolder
	}
	return typeFile
}

func (d *descriptor) rights() uint64 {
	if d.isFolder() {
		return rightsAll
	}
	r := uint64(rightsAll)
	if !d.readable {
		r &^= rightRead
	}
	if !d.writable {
		r &^= rightWrite
	}
	if d.stream != streamNone {
		r &^= rightSeek | rightTell
	}
	return r
}

// at returns what is open under a number.
func (s *System) at(fd uint32) (*descriptor, error) {
	if uint64(fd) >= uint64(len(s.open)) || s.open[fd] == nil {
		return nil, errBadDescriptor
	}
	return s.open[fd], nil
}

// folderAt returns the folder that is open under a number.
func (s *System) folderAt(fd uint32) (*node, error) {
	d, err := s.at(fd)
	if err != nil {
		return nil, err
	}
	if !d.isFolder() {
		return nil, errNotFolder
	}
	return d.node, nil
}

// fileAt returns the file that is open under a number.
func (s *System) fileAt(fd uint32) (*descriptor, error) {
	d, err := s.at(fd)
	switch {
	case err != nil:
		return nil, err
	case d.isFolder():
		return nil, errIsFolder
	case d.node == nil:
		return nil, errNotSeekable
	}
	return d, nil
}

// free is the lowest number under which nothing is open.
func (s *System) free() (uint32, error) {
	for i, d := range s.open {
		if d == nil {
			return uint32(i), nil
		}
	}
	if len(s.open) >= maxOpen {
		return 0, errTooManyOpen
	}
	s.open = append(s.open, nil)
	return uint32(len(s.open) - 1), nil
}

// fdClose(fd)
func (s *System) fdClose(c call) error {
	d, err := s.at(c.u32(0))
	if err != nil {
		return err
	}
	s.open[c.u32(0)] = nil
	if d.node != nil && !d.preopened {
		d.node.opened--
		s.release(d.node)
	}
	return nil
}

// fdFdstatGet(fd, fdstat *[24]u8)
func (s *System) fdFdstatGet(c call) error {
	d, err := s.at(c.u32(0))
	if err != nil {
		return err
	}
	w, err := c.result(1, 24)
	if err != nil {
		return err
	}
	clear(w)
	w[0] = d.fileType()
	put16(w[2:], d.flags)
	put64(w[8:], d.rights())
	if d.isFolder() {
		put64(w[16:], rightsAll)
	}
	return nil
}

// fdFdstatSetFlags(fd, flags)
func (s *System) fdFdstatSetFlags(c call) error {
	d, err := s.at(c.u32(0))
	if err != nil {
		return err
	}
	if c.u32(1)&^flagsAll != 0 {
		return errInvalid
	}
	d.flags = uint16(c.u32(1))
	return nil
}

// fdPrestatGet(fd, prestat *{tag u8, length u32})
func (s *System) fdPrestatGet(c call) error {
	d, err := s.at(c.u32(0))
	if err != nil {
		return err
	}
	if !d.preopened {
		return errBadDescriptor
	}
	w, err := c.result(1, 8)
	if err != nil {
		return err
	}
	clear(w) // the tag 0: a folder
	put32(w[4:], uint32(len(d.node.name)))
	return nil
}

// fdPrestatDirName(fd, path *u8, n)
func (s *System) fdPrestatDirName(c call) error {
	d, err := s.at(c.u32(0))
	if err != nil {
		return err
	}
	if !d.preopened {
		return errBadDescriptor
	}
	if uint64(c.u32(2)) < uint64(len(d.node.name)) {
		return errNameTooLong
	}
	w, err := c.result(1, len(d.node.name))
	if err != nil {
		return err
	}
	copy(w, d.node.name)
	return nil
}

// fdSync(fd), for data alone too: nothing here is ever behind.
func (s *System) fdSync(c call) error {
	_, err := s.at(c.u32(0))
	return err
}

// fdAdvise(fd, offset u64, n u64, advice): heard, and not needed.
func (s *System) fdAdvise(c call) error {
	if _, err := s.at(c.u32(0)); err != nil {
		return err
	}
	if c.u32(3) > 5 {
		return errInvalid
	}
	return nil
}
