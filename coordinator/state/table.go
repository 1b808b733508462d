package state

import "sync/atomic"

// pageSize is the records of one page: small enough that copying one while a
// snapshot is being written stalls Apply for microseconds only.
const pageSize = 256

// Table is a growing array of records in pages. A frozen copy of it shares
// the pages; a page is copied when it is first changed after a freeze.
type Table[T any] struct {
	pages  []*page[T]
	length uint64
	share  *sharing
}

type page[T any] struct {
	generation uint64
	records    [pageSize]T
}

// sharing is one State's count of freezes, and of the frozen copies in use.
type sharing struct {
	generation uint64
	frozen     atomic.Int64
}

// Len is how many records there are.
func (t *Table[T]) Len() uint64 { return t.length }

// At is record i, to be read. It is valid until the next change of the table.
func (t *Table[T]) At(i uint64) *T { return &t.pages[i/pageSize].records[i%pageSize] }

// Edit is record i, to be changed.
func (t *Table[T]) Edit(i uint64) *T {
	p := t.pages[i/pageSize]
	if p.generation != t.share.generation {
		if t.share.frozen.Load() > 0 {
			clone := *p
			p = &clone
			t.pages[i/pageSize] = p
		}
		p.generation = t.share.generation
	}
	return &p.records[i%pageSize]
}

// Append adds a record and returns its place.
func (t *Table[T]) Append(v T) uint64 {
	i := t.length
	if i%pageSize == 0 {
		t.pages = append(t.pages, &page[T]{generation: t.share.generation})
	}
	t.length++
	*t.Edit(i) = v
	return i
}

// freeze returns a copy that later changes of t do not touch. The caller has
// raised the generation.
func (t *Table[T]) freeze() Table[T] {
	pages := make([]*page[T], len(t.pages))
	copy(pages, t.pages)
	return Table[T]{pages: pages, length: t.length, share: t.share}
}
