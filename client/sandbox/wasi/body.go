package wasi

import "io"

// chunkSize is how a body is cut, so that growing one copies nothing and takes
// no more memory than it holds.
const chunkSize = 64 << 10

// body is the content of a file or a stream. Chunks that were never written,
// and what a chunk lacks at its end, read as zeros and take no memory.
type body struct {
	fixed  []byte                // of an input: all of it
	await  func(from, to uint64) // of an input whose bytes come as they are read
	chunks [][]byte              // chunk i begins at i·chunkSize and has at most chunkSize bytes
	size   uint64
}

// spareChunks keeps whole chunks that a body gave up, for the next one: a
// program that grows and cuts files for ever leaves no garbage.
type spareChunks [][]byte

func (p *spareChunks) put(chunk []byte) {
	if cap(chunk) == chunkSize {
		*p = append(*p, chunk)
	}
}

// get returns a chunk of n zeros.
func (p *spareChunks) get(n int) []byte {
	if k := len(*p); k > 0 {
		chunk := (*p)[k-1][:n]
		*p = (*p)[:k-1]
		clear(chunk)
		return chunk
	}
	return make([]byte, n, chunkSize)
}

// readAt copies what lies at offset into w and returns how many bytes; fewer
// than asked for mean the end.
func (b *body) readAt(w []byte, offset uint64) int {
	if offset >= b.size {
		return 0
	}
	if uint64(len(w)) > b.size-offset {
		w = w[:b.size-offset]
	}
	if b.await != nil && len(w) > 0 {
		b.await(offset, offset+uint64(len(w)))
	}
	if b.fixed != nil {
		return copy(w, b.fixed[offset:])
	}
	for done := 0; done < len(w); {
		i, at := split(offset + uint64(done))
		part := w[done:min(len(w), done+chunkSize-at)]
		n := 0
		if i < len(b.chunks) && at < len(b.chunks[i]) {
			n = copy(part, b.chunks[i][at:])
		}
		clear(part[n:])
		done += len(part)
	}
	return len(w)
}

// writeAt writes w at offset, growing the body as needed.
func (b *body) writeAt(w []byte, offset uint64, spare *spareChunks) {
	if len(w) == 0 {
		return
	}
	b.size = max(b.size, offset+uint64(len(w)))
	for len(w) > 0 {
		i, at := split(offset)
		n := min(len(w), chunkSize-at)
		for i >= len(b.chunks) {
			b.chunks = append(b.chunks, nil)
		}
		b.chunks[i] = grownChunk(b.chunks[i], at+n, i == 0, spare)
		copy(b.chunks[i][at:], w[:n])
		w, offset = w[n:], offset+uint64(n)
	}
}

// grownChunk is the chunk with at least n bytes, what is new being zeros. The
// first chunk of a body grows by doubling, because most files are small.
func grownChunk(chunk []byte, n int, first bool, spare *spareChunks) []byte {
	if n <= len(chunk) {
		return chunk
	}
	if n <= cap(chunk) {
		had := len(chunk)
		chunk = chunk[:n]
		clear(chunk[had:])
		return chunk
	}
	if room := max(n, 2*cap(chunk), 512); first && room < chunkSize {
		return append(make([]byte, 0, room), chunk...)[:n]
	}
	grown := spare.get(n)
	copy(grown, chunk)
	return grown
}

// resize cuts the body, or lets it read as zeros up to a new end.
func (b *body) resize(size uint64, spare *spareChunks) {
	b.size = size
	keep, at := split(size)
	if keep < len(b.chunks) {
		if at > 0 {
			b.chunks[keep] = b.chunks[keep][:min(at, len(b.chunks[keep]))]
			keep++
		}
		for _, chunk := range b.chunks[keep:] {
			spare.put(chunk)
		}
		clear(b.chunks[keep:])
		b.chunks = b.chunks[:keep]
	}
}

// writeTo writes the whole body to w.
func (b *body) writeTo(w io.Writer) (int64, error) {
	buffer := make([]byte, chunkSize)
	for offset := uint64(0); offset < b.size; {
		n := b.readAt(buffer, offset)
		if _, err := w.Write(buffer[:n]); err != nil {
			return int64(offset), err
		}
		offset += uint64(n)
	}
	return int64(b.size), nil
}

func split(offset uint64) (chunk, at int) {
	return int(offset / chunkSize), int(offset % chunkSize)
}
