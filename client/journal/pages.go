package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The form of a bbolt file, version 2. bbolt believes what stands in a page:
// one wrong number makes it crash, or take all memory, on goroutines where
// nobody can catch it. So the pages are read here first, through io.ReaderAt
// and with every number in doubt.
const (
	pageHead     = 16 // id, flags (16 bits), count (16), overflow (32)
	elementSize  = 16
	bucketHead   = 16 // root page, sequence
	metaSize     = 64 // behind the page's head, its checksum included
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	noFreelist   = 1<<64 - 1
	pageBranch   = 1
	pageLeaf     = 2
	entryBucket  = 1
	maxPageSize  = 64 << 10
	maxPageDepth = 16 // a tree of 2-element pages of this depth would have 65,536 leaves
)

// pageChecker walks the pages of a file that are in use.
type pageChecker struct {
	r    io.ReaderAt
	size uint64 // bytes of a page
	end  uint64 // pages below this number may be used
	seen map[uint64]bool
}

// checkPages reports the first thing in a file of size bytes that bbolt would
// stumble over.
func checkPages(r io.ReaderAt, size int64) error {
	pageSize, root, end, err := newestMeta(r, size)
	if err != nil {
		return err
	}
	if end < 4 || end > uint64(size)/pageSize {
		return fmt.Errorf("it says that it has %d pages of %d bytes, the file has %d bytes", end, pageSize, size)
	}
	c := pageChecker{r: r, size: pageSize, end: end, seen: map[uint64]bool{0: true, 1: true}}
	return c.bucket(root, true)
}

// newestMeta finds the newer of the two descriptions at the file's beginning;
// the older one counts where a power cut left the newer half written.
func newestMeta(r io.ReaderAt, size int64) (pageSize, root, end uint64, err error) {
	newest := uint64(0)
	found := false
	try := func(at int64) uint64 {
		b := make([]byte, pageHead+metaSize)
		if _, err := r.ReadAt(b, at); err != nil {
			return 0
		}
		m := b[pageHead:]
		u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
		h := fnv.New64a()
		h.Write(m[:metaSize-8])
		ps := uint64(u32(m[8:]))
		if u32(m) != metaMagic || u32(m[4:]) != metaVersion || h.Sum64() != u64(m[metaSize-8:]) ||
			ps < 512 || ps > maxPageSize || ps&(ps-1) != 0 || u64(m[32:]) != noFreelist {
			return 0
		}
		if txid := u64(m[48:]); !found || txid > newest {
			newest, found = txid, true
			pageSize, root, end = ps, u64(m[16:]), u64(m[40:])
		}
		return ps
	}
	second := try(0)
	if second != 0 {
		try(int64(second))
	} else {
		for ps := int64(1024); ps <= maxPageSize && ps < size; ps *= 2 {
			try(ps)
		}
	}
	if !found {
		return 0, 0, 0, errors.New("its beginning is not that of a journal")
	}
	return pageSize, root, end, nil
}

// bucket checks the tree of a bucket from its root page. Only the root bucket
// holds buckets.
func (c *pageChecker) bucket(root uint64, top bool) error {
	var last []byte
	first := true
	return c.tree(root, 0, func(key, value []byte, isBucket bool) error {
		if !first && bytes.Compare(key, last) <= 0 {
			return errors.New("keys are out of order")
		}
		first, last = false, append(last[:0], key...)
		switch {
		case isBucket != top:
			return errors.New("a bucket stands where a value belongs, or the reverse")
		case !isBucket:
			return nil
		case len(value) < bucketHead:
			return errors.New("a bucket is cut short")
		}
		if page := binary.NativeEndian.Uint64(value); page != 0 {
			return c.bucket(page, false)
		}
		return c.inline(value[bucketHead:])
	})
}

// inline checks a small bucket that is a page inside of a value.
func (c *pageChecker) inline(page []byte) error {
	if len(page) < pageHead || pageFlags(page) != pageLeaf {
		return errors.New("a small bucket is no page")
	}
	var last []byte
	return eachLeaf(page, func(key, _ []byte, isBucket bool) error {
		if isBucket || last != nil && bytes.Compare(key, last) <= 0 {
			return errors.New("a small bucket is out of order")
		}
		last = append(last[:0], key...)
		return nil
	})
}

// tree visits the entries of the leaves below a page, in order.
func (c *pageChecker) tree(id uint64, depth int, visit func(key, value []byte, isBucket bool) error) error {
	if depth > maxPageDepth {
		return errors.New("its pages are nested too deeply")
	}
	page, err := c.page(id)
	if err != nil {
		return err
	}
	switch pageFlags(page) {
	case pageLeaf:
		err = eachLeaf(page, visit)
	case pageBranch:
		err = eachBranch(page, func(key []byte, child uint64) error {
			first := true
			return c.tree(child, depth+1, func(k, v []byte, isBucket bool) error {
				if first && bytes.Compare(k, key) < 0 {
					return errors.New("a page begins before its place")
				}
				first = false
				return visit(k, v, isBucket)
			})
		})
	default:
		err = errors.New("it is neither branch nor leaf")
	}
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// page reads a page with those that continue it. Each is used once.
func (c *pageChecker) page(id uint64) ([]byte, error) {
	if id < 2 || id >= c.end {
		return nil, fmt.Errorf("page %d is not among its %d", id, c.end)
	}
	head := make([]byte, pageHead)
	if _, err := c.r.ReadAt(head, int64(id*c.size)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	more := uint64(binary.NativeEndian.Uint32(head[12:]))
	if binary.NativeEndian.Uint64(head) != id || more >= c.end-id {
		return nil, fmt.Errorf("page %d: it says that it is page %d and %d more", id, binary.NativeEndian.Uint64(head), more)
	}
	for k := id; k <= id+more; k++ {
		if c.seen[k] {
			return nil, fmt.Errorf("page %d is used twice", k)
		}
		c.seen[k] = true
	}
	b := make([]byte, (1+more)*c.size)
	if _, err := c.r.ReadAt(b, int64(id*c.size)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return b, nil
}

func pageFlags(page []byte) uint16 { return binary.NativeEndian.Uint16(page[8:]) }

// element is the n-th element of a page, and the bytes from it on: positions
// count from there.
func element(page []byte, n int) (head, from []byte, err error) {
	at := pageHead + n*elementSize
	if at+elementSize > len(page) {
		return nil, nil, errors.New("it has more elements than it can hold")
	}
	return page[at : at+elementSize], page[at:], nil
}

// part is a part of the bytes behind an element.
func part(from []byte, at, n uint64) ([]byte, error) {
	if at > uint64(len(from)) || n > uint64(len(from))-at {
		return nil, errors.New("an element reaches beyond its page")
	}
	return from[at : at+n], nil
}

func eachLeaf(page []byte, visit func(key, value []byte, isBucket bool) error) error {
	for n := range int(binary.NativeEndian.Uint16(page[10:])) {
		head, from, err := element(page, n)
		if err != nil {
			return err
		}
		u32 := func(at int) uint64 { return uint64(binary.NativeEndian.Uint32(head[at:])) }
		both, err := part(from, u32(4), u32(8)+u32(12))
		if err != nil {
			return err
		}
		if u32(0) > entryBucket || u32(8) == 0 {
			return errors.New("an element is of no kind, or has no key")
		}
		if err := visit(both[:u32(8)], both[u32(8):], u32(0) == entryBucket); err != nil {
			return err
		}
	}
	return nil
}

func eachBranch(page []byte, visit func(key []byte, child uint64) error) error {
	count := int(binary.NativeEndian.Uint16(page[10:]))
	if count == 0 {
		return errors.New("it leads nowhere")
	}
	var last []byte
	for n := range count {
		head, from, err := element(page, n)
		if err != nil {
			return err
		}
		key, err := part(from, uint64(binary.NativeEndian.Uint32(head)), uint64(binary.NativeEndian.Uint32(head[4:])))
		if err != nil {
			return err
		}
		if n > 0 && bytes.Compare(key, last) <= 0 {
			return errors.New("its branches are out of order")
		}
		last = key
		if err := visit(key, binary.NativeEndian.Uint64(head[8:])); err != nil {
			return err
		}
	}
	return nil
}
