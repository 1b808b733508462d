package blobs

import (
	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/storage"
)

// Parcel is a batch as it travels: encoded once, whoever it goes to.
type Parcel struct {
	*lent
	count   int    // of its blobs
	grouped bool   // all of them belong to groups
	group   uint64 // of the first
}

// NewParcel encodes blobs, and keeps nothing of them. The caller is the first user of
// its memory.
func NewParcel(blobs []storage.Small) *Parcel {
	p := &Parcel{lent: borrow(), count: len(blobs), grouped: isGrouped(blobs)}
	if len(blobs) > 0 {
		p.group = blobs[0].Group
	}
	*p.bytes = wire.AppendSealed(*p.bytes, frameBatch, &batch{Blobs: blobs})
	return p
}
