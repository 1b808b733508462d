package state

import "sync/atomic"

// pageSize is the records of one page: small enough that copying one while a
// snapshot is being written stalls Apply for microseconds only.
const pageSize = 256

// Table is a growing array of records in pages. A frozen copy of it shares
// the pages; a page is copied when it is first changed after a freeze. Whole
// pages can be dropped again; the numbers of the records after them stay.
type Table[T any] struct {
	pages  []*page[T] // those from number base on; nil: dropped
	base   uint64     // how many pages, all dropped, come before
	length uint64
	share  *sharing

	recycles bool       // a table of which pages come and go all the time
	spare    []*page[T] // empty ones, which nobody else has
}

// maxSpare bounds the pages that a table keeps to be used again: as many as the
// attempts of a chunk or two take.
const maxSpare = 64

type page[T any] struct {
	generation uint64
	records    [pageSize]T
}

// sharing is one State's count of freezes, and of the frozen copies in use.
type sharing struct {
	generation uint64
	frozen     atomic.Int64
}

// Len is how many records there are, or have been.
func (t *Table[T]) Len() uint64 { return t.length }

// Has reports whether record i is there: it was made, and not dropped.
func (t *Table[T]) Has(i uint64) bool {
	p := i / pageSize
	return i < t.length && p >= t.base && t.pages[p-t.base] != nil
}

// At is record i, to be read. It is valid until the next change of the table.
func (t *Table[T]) At(i uint64) *T { return &t.pages[i/pageSize-t.base].records[i%pageSize] }

// Edit is record i, to be changed.
func (t *Table[T]) Edit(i uint64) *T {
	p := t.pages[i/pageSize-t.base]
	if p.generation != t.share.generation {
		if t.share.frozen.Load() > 0 {
			clone := *p
			p = &clone
			t.pages[i/pageSize-t.base] = p
		}
		p.generation = t.share.generation
	}
	return &p.records[i%pageSize]
}

// Append adds a record and returns its place.
func (t *Table[T]) Append(v T) uint64 {
	i := t.length
	if i%pageSize == 0 {
		t.pages = append(t.pages, t.newPage())
	}
	t.length++
	*t.Edit(i) = v
	return i
}

// drop forgets the records of whole pages, if they are there: from is the first of one, to is
// behind the last of one, or the table's length.
func (t *Table[T]) drop(from, to uint64) {
	for p := max(from/pageSize, t.base); p*pageSize < to; p++ {
		t.keep(t.pages[p-t.base])
		t.pages[p-t.base] = nil
	}
	for len(t.pages) > 0 && t.pages[0] == nil {
		t.pages = t.pages[1:]
		t.base++
	}
}

// keep empties a page that is dropped for the next one that is made, unless a frozen
// copy may have it, too.
func (t *Table[T]) keep(p *page[T]) {
	if p == nil || !t.recycles || len(t.spare) == maxSpare || p.generation != t.share.generation && t.share.frozen.Load() > 0 {
		return
	}
	clear(p.records[:])
	t.spare = append(t.spare, p)
}

// newPage is a page of empty records.
func (t *Table[T]) newPage() *page[T] {
	n := len(t.spare)
	if n == 0 {
		return &page[T]{generation: t.share.generation}
	}
	p := t.spare[n-1]
	t.spare[n-1], t.spare = nil, t.spare[:n-1]
	p.generation = t.share.generation
	return p
}

// addPage makes the table longer, by a page of empty records. Its length is at
// the end of a page.
func (t *Table[T]) addPage() {
	t.pages = append(t.pages, t.newPage())
	t.length += pageSize
}

// refill makes the page of record i again, if it was dropped.
func (t *Table[T]) refill(i uint64) {
	if p := i/pageSize - t.base; t.pages[p] == nil {
		t.pages[p] = t.newPage()
	}
}

// trim makes the table shorter, by the dropped pages at its end. Its length is
// at the end of a page, or there are none.
func (t *Table[T]) trim() {
	for n := len(t.pages); n > 0 && t.pages[n-1] == nil; n-- {
		t.pages = t.pages[:n-1]
		t.length = (t.base + uint64(n-1)) * pageSize
	}
}

// skip makes the table longer, by records that were dropped. Its length is at
// the end of a page.
func (t *Table[T]) skip(to uint64) {
	if pages := (to + pageSize - 1) / pageSize; len(t.pages) == 0 {
		t.base = pages
	} else {
		t.pages = append(t.pages, make([]*page[T], pages-t.base-uint64(len(t.pages)))...)
	}
	t.length = to
}

// freeze returns a copy that later changes of t do not touch. The caller has
// raised the generation.
func (t *Table[T]) freeze() Table[T] {
	pages := make([]*page[T], len(t.pages))
	copy(pages, t.pages)
	return Table[T]{pages: pages, base: t.base, length: t.length, share: t.share}
}
