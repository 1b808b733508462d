package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/task"
)

// Parent and child talk in frames: a byte for the kind, four for the length
// (the highest first), then so many bytes. Behind the frame of a request come
// the bytes of the module and of the inputs, bare, as long as it said. Of an
// input that is read in pieces none come there: the child asks for a piece when
// the program first reads it, for one at a time and for each once.
type frameKind byte

const (
	frameRequest  frameKind = 'Q' // parent to child: what to run
	frameProgress frameKind = 'P' // child to parent: a sign of life
	frameOutcome  frameKind = 'O' // how the program ended; contents follow
	frameContent  frameKind = 'C' // bytes of the outputs, one output after the other
	frameFailure  frameKind = 'F' // why there is no outcome
	frameNeed     frameKind = 'N' // child to parent: the program reads a piece that it lacks
	framePiece    frameKind = 'I' // parent to child: the piece that it asked for last
)

const frameHead = 5

// errFrame: a frame that no honest process sends.
var errFrame = errors.New("malformed frame")

// maxFrame is the most bytes that a frame of a kind may have; 0 for a kind
// that does not exist.
func maxFrame(k frameKind) uint32 {
	switch k {
	case frameRequest:
		return 8 << 20
	case frameProgress:
		return 16
	case frameOutcome:
		return 512 << 10
	case frameContent:
		return 64 << 10
	case frameFailure:
		return 1 + maxFailureText
	case frameNeed:
		return 2 * binary.MaxVarintLen64
	case framePiece:
		return task.PieceSize
	}
	return 0
}

// writeFrame writes a frame whose payload begins behind frameHead free bytes
// of b, in one call of Write.
func writeFrame(w io.Writer, k frameKind, b []byte) error {
	b[0] = byte(k)
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-frameHead))
	_, err := w.Write(b)
	return err
}

// newFrame is room for a frame of n bytes, for writeFrame.
func newFrame(n int) []byte { return make([]byte, frameHead, frameHead+n) }

// readFrame reads one frame into buffer, which it grows as needed; the payload
// is valid until the next frame is read. io.EOF means that there was none.
func readFrame(r io.Reader, buffer *[]byte) (frameKind, []byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	k, n := frameKind(head[0]), binary.BigEndian.Uint32(head[1:])
	if n > maxFrame(k) {
		return 0, nil, fmt.Errorf("%w: %q of %d bytes, allowed are %d", errFrame, head[0], n, maxFrame(k))
	}
	if uint32(cap(*buffer)) < n {
		*buffer = make([]byte, n)
	}
	b := (*buffer)[:n]
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, nil, fmt.Errorf("frame %q cut short: %w", head[0], err)
	}
	return k, b, nil
}
