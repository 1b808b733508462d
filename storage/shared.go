package storage

import (
	"context"
	"time"

	"github.com/sheafgrid/sheaf/task"
)

// Shared is a store that several nodes use at the same time. None of them can
// keep the others from putting, or from beginning to need, what it is about to
// delete; a blob therefore goes in two steps. First it is put aside: listed no
// more, and found by whoever asks for it all the same, which brings it back.
// Long afterwards, what is still aside is dropped.
type Shared interface {
	Blobs

	// PutAside takes a blob out of List and Usage; the stamp, not negative, says
	// when. One that is not there is no error. Open, Has and reading go on as
	// though nothing had happened: they bring it back. may is called once the
	// blob is safe aside; its error ends the call, is returned as it is, and
	// leaves the blob in its place, too. Whatever happens to this process or to
	// the network, the blob's place is emptied within AsideWithin of the call of
	// may, or not at all.
	PutAside(ctx context.Context, digest task.Digest, stamp int64, may func() error) error

	// ListAside calls fn for what was put aside, in the order of digests and
	// then of stamps, on the caller's goroutine. That of a blob which was brought
	// back is still among it. An error of fn ends it and is returned as it is.
	ListAside(ctx context.Context, fn func(Aside) error) error

	// DropAside deletes what was put aside. What is not there is no error. A
	// blob that was brought back, or put again, stays. Delete, on the other hand,
	// does not reach what is aside.
	DropAside(ctx context.Context, a Aside) error

	// ListUnfinished calls fn for what is left of uploads that have not ended. An
	// error of fn ends it and is returned as it is.
	ListUnfinished(ctx context.Context, fn func(Unfinished) error) error

	// DropUnfinished ends an upload that was listed: whoever still sends it
	// begins again. One that is not there is no error.
	DropUnfinished(ctx context.Context, u Unfinished) error
}

// AsideWithin is how late a removal that was allowed may still happen.
const AsideWithin = 30 * time.Minute

// Aside is a blob that was put aside.
type Aside struct {
	Digest task.Digest
	Stamp  int64 // that PutAside was given
	Size   int64
}

// Unfinished is an upload that has not ended.
type Unfinished struct {
	Name  string // of its own, for the store
	State string // another one when the upload went on
}
