package simdisk

import (
	"io"
	"slices"
)

// File is an open file of a Disk. Write appends where the last Write of this
// File ended; Read goes on where the last Read did.
type File struct {
	disk  *Disk
	name  string
	node  *node
	wrote int64
	read  int64
}

// Write writes on from the last Write.
func (f *File) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.wrote)
	f.wrote += int64(n)
	return n, err
}

// WriteAt writes; a step that fails writes half.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.step("write")
	if err != nil {
		p = p[:len(p)/2]
	}
	if grow := int(off) + len(p) - len(f.node.now); d.room > 0 && grow > d.room-d.used() {
		p, err = p[:max(0, len(p)-grow+d.room-d.used())], d.full
	}
	if grow := int(off) + len(p) - len(f.node.now); grow > 0 {
		f.node.now = append(f.node.now, make([]byte, grow)...)
	}
	copy(f.node.now[off:], p)
	return len(p), err
}

// used is how many bytes all files have.
func (d *Disk) used() (n int) {
	for _, in := range d.dirs {
		for _, f := range in.now {
			n += len(f.now)
		}
	}
	return n
}

// Read reads on from the last Read.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.read)
	f.read += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// ReadAt reads.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off > int64(len(f.node.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Truncate makes the file shorter, or longer by zeros.
func (f *File) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.step("truncate"); err != nil {
		return err
	}
	if more := int(size) - len(f.node.now); more > 0 {
		f.node.now = append(f.node.now, make([]byte, more)...)
	}
	f.node.now = slices.Clone(f.node.now[:size])
	return nil
}

// Sync puts the file's bytes onto the disk, not its name.
func (f *File) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.step("sync file"); err != nil {
		return err
	}
	f.node.synced = slices.Clone(f.node.now)
	return nil
}

// Close closes the file.
func (f *File) Close() error { return f.disk.Step("close") }

// Length is the file's, in bytes.
func (f *File) Length() (int64, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return int64(len(f.node.now)), nil
}
