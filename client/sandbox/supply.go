package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sheafgrid/sheaf/task"
)

// supply gets the pieces of inputs that the program reads, and watches the
// parent on the way: when that is gone, or sends what was not asked for, the
// process ends. A piece comes or the program never goes on, so it cannot tell
// an input that comes in pieces from any other.
type supply struct {
	replies *replies
	wanted  chan []byte   // where the piece that was asked for belongs
	arrived chan struct{} // it lies there
}

func newSupply(r *replies) *supply {
	return &supply{replies: r, wanted: make(chan []byte, 1), arrived: make(chan struct{})}
}

// await returns the wasi.Input's Await of an input whose content is empty at
// first. The program's goroutine calls it.
func (s *supply) await(input int, f *InputFile, content []byte) func(from, to uint64) {
	has := make([]bool, task.Pieces(f.Size))
	return func(from, to uint64) {
		for n := int64(from / task.PieceSize); n <= int64((to-1)/task.PieceSize); n++ {
			if has[n] {
				continue
			}
			at, size := f.piece(n)
			s.wanted <- content[at:][:size]
			if s.replies.send(frameNeed, encodeNeed(need{input, n})) != nil {
				os.Exit(1) // nobody listens any more
			}
			<-s.arrived
			has[n] = true
		}
	}
}

// run takes what comes behind the request until the process ends.
func (s *supply) run(stdin io.Reader) {
	var buffer []byte
	for {
		if err := s.take(stdin, &buffer); err != nil {
			if !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "sandbox: unexpected on standard input:", err)
			}
			os.Exit(1)
		}
		s.arrived <- struct{}{}
	}
}

// take reads one piece to where it belongs. io.EOF means that the parent is
// gone.
func (s *supply) take(stdin io.Reader, buffer *[]byte) error {
	kind, payload, err := readFrame(stdin, buffer)
	if err != nil {
		return err
	}
	if kind != framePiece {
		return fmt.Errorf("a frame %q came", byte(kind))
	}
	select {
	case place := <-s.wanted:
		if len(payload) != len(place) {
			return fmt.Errorf("a piece of %d bytes came, want %d", len(payload), len(place))
		}
		copy(place, payload)
		return nil
	default:
		return errors.New("a piece came that nobody asked for")
	}
}
