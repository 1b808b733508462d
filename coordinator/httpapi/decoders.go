package httpapi

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/sheafgrid/sheaf/protocol"
)

// Bounds of what compressed uploads take of the memory: each has a window and
// about as much again, and keeps it for as long as it comes.
const (
	maxDecoders   = 64
	decoderWindow = 1 << 20
)

// decoders decompress uploads, so many at a time.
type decoders struct {
	turns chan struct{} // holds one for each that is in use
	idle  *sync.Pool    // of *zstd.Decoder
}

func newDecoders() decoders {
	return decoders{turns: make(chan struct{}, maxDecoders), idle: &sync.Pool{}}
}

// decode is the plain bytes of compressed ones; done must be called.
func (d *decoders) decode(r io.Reader) (plain io.Reader, done func(), err error) {
	select {
	case d.turns <- struct{}{}:
	default:
		return nil, nil, &protocol.Error{Code: protocol.CodeOverloaded, Text: "too many compressed uploads are on their way; try again in a moment, or send it as it is", RetryMillis: 2000}
	}
	z, ok := d.idle.Get().(*zstd.Decoder)
	if ok {
		err = z.Reset(r)
	} else {
		// It starts no goroutine, so that the pool may forget it.
		z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(decoderWindow), zstd.WithDecoderLowmem(true))
	}
	if err != nil {
		<-d.turns
		return nil, nil, fmt.Errorf("zstd: %w", err)
	}
	return z, func() {
		if z.Reset(nil) == nil { // it holds on to no body
			d.idle.Put(z)
		}
		<-d.turns
	}, nil
}
