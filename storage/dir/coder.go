package dir

import (
	"context"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/klauspost/compress/zstd"

	"github.com/sheafgrid/sheaf/storage"
	"github.com/sheafgrid/sheaf/task"
)

// packer compresses chunks, one at a time. Its parts are made on first use.
type packer struct {
	zstd *zstd.Encoder
	out  []byte // what is to be written next; the space is used again
}

// packers lends packers, never more than it was made with.
type packers chan *packer

func newPackers(n int) packers {
	p := make(packers, n)
	for range n {
		p <- &packer{}
	}
	return p
}

func (p packers) take(ctx context.Context) (*packer, error) {
	select {
	case k := <-p:
		k.out = k.out[:0]
		return k, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p packers) give(k *packer) { p <- k }

// pack appends a chunk as it is to be stored at offset, and describes it. sum is
// its digest.
func (k *packer) pack(chunk []byte, sum task.Digest, offset int64) (entry, error) {
	if k.zstd == nil {
		var err error
		// The frame needs no checksum of its own: the table has two.
		k.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true),
			zstd.WithWindowSize(storage.ChunkSize), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			return entry{}, fmt.Errorf("start zstd: %w", err)
		}
	}
	start := len(k.out)
	e := entry{offset: offset, encoding: encodingZstd, sum: sum}
	if k.promises(chunk) {
		k.out = k.zstd.EncodeAll(chunk, k.out)
	}
	if worth := len(chunk) - len(chunk)/16; len(k.out) == start || len(k.out)-start >= worth {
		k.out = append(k.out[:start], chunk...)
		e.encoding = encodingRaw
	}
	stored := k.out[start:]
	e.length, e.crc = len(stored), crc32.Checksum(stored, castagnoli)
	return e, nil
}

// A chunk of several probes is compressed only if a part out of its middle
// becomes smaller by half, as text does: what is mostly digests would become
// smaller by a little, and cost three nodes the time of all else that is done with
// it.
const (
	probe     = 8 << 10
	probeFrom = 8 * probe
)

// promises reports whether a chunk is worth compressing.
func (k *packer) promises(chunk []byte) bool {
	if len(chunk) < probeFrom {
		return true
	}
	middle := len(chunk) / 2
	end := len(k.out)
	k.out = k.zstd.EncodeAll(chunk[middle:middle+probe], k.out)
	size := len(k.out) - end
	k.out = k.out[:end]
	return size < probe/2
}

// unpacker reads and expands chunks, one at a time. Its parts are made on
// first use, and none grows beyond a chunk.
type unpacker struct {
	zstd   *zstd.Decoder
	stored []byte // a compressed chunk
	space  []byte // where chunks are expanded
}

// expand makes a chunk of n bytes out of u.stored, in u.space.
func (u *unpacker) expand(n int) ([]byte, error) {
	if u.zstd == nil {
		var err error
		u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(storage.ChunkSize), zstd.WithDecoderMaxWindow(storage.ChunkSize),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, fmt.Errorf("start zstd: %w", err)
		}
	}
	u.space = grow(u.space, n)
	// Without room for more than n bytes, a frame that claims more fails at once.
	got, err := u.zstd.DecodeAll(u.stored, u.space[:0:n])
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	if len(got) != n {
		return nil, fmt.Errorf("zstd made %d bytes instead of %d", len(got), n)
	}
	return got, nil
}

// grow returns b or, if it has no room for n bytes, a larger buffer.
func grow(b []byte, n int) []byte {
	if cap(b) >= n {
		return b[:cap(b)]
	}
	return make([]byte, min(storage.ChunkSize, 1<<bits.Len(uint(n-1))))
}
