package blobs

import (
	"bytes"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/storage"
)

// Parcel is a batch as it travels: encoded once, whoever it goes to. Its memory is
// used again when nobody uses it any more.
type Parcel struct {
	count   int    // of its blobs
	grouped bool   // all of them belong to groups
	group   uint64 // of the first
	frame   *[]byte
	users   atomic.Int64
}

// frames are the memory of parcels. Nearly all are of about the same size: a large
// one is not kept for the next.
var frames = sync.Pool{New: func() any { return new([]byte) }}

const maxKeptFrame = 1 << 20 // bytes

// NewParcel encodes blobs, and keeps nothing of them. Its maker is its first user.
func NewParcel(blobs []storage.Small) *Parcel {
	p := &Parcel{count: len(blobs), grouped: isGrouped(blobs), frame: frames.Get().(*[]byte)}
	if len(blobs) > 0 {
		p.group = blobs[0].Group
	}
	*p.frame = wire.AppendSealed((*p.frame)[:0], frameBatch, &batch{Blobs: blobs})
	p.users.Store(1)
	return p
}

// use is called before somebody else uses a parcel, by one who does.
func (p *Parcel) use() { p.users.Add(1) }

// done ends a use. A parcel that somebody forgets to call it for is left to the
// garbage collector.
func (p *Parcel) done() {
	if p.users.Add(-1) == 0 {
		if cap(*p.frame) <= maxKeptFrame {
			frames.Put(p.frame)
		}
		p.frame = nil
	}
}

// size is how much travels, in bytes.
func (p *Parcel) size() int64 { return int64(len(*p.frame)) }

// open returns a reader of what travels, which uses the parcel until it is closed. The
// caller uses it, too.
func (p *Parcel) open() io.ReadCloser {
	p.use()
	return &parcelReader{parcel: p, rest: bytes.NewReader(*p.frame)}
}

// parcelReader may be closed while somebody reads, as HTTP clients do: what was given
// up may not be read when another parcel is in the same memory.
type parcelReader struct {
	mu     sync.Mutex
	parcel *Parcel
	rest   *bytes.Reader
}

// Read reads on.
func (r *parcelReader) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.parcel == nil {
		return 0, os.ErrClosed
	}
	return r.rest.Read(b)
}

// Close ends the use of the parcel.
func (r *parcelReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.parcel != nil {
		r.parcel.done()
		r.parcel = nil
	}
	return nil
}
