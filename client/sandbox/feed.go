package sandbox

import (
	"context"
	"fmt"
	"time"

	"github.com/sheafgrid/sheaf/task"
)

// feed gives a child the pieces of inputs that its program reads. Two
// goroutines work on it: the one that reads the child's replies asks, another
// one serves.
type feed struct {
	inputs []InputFile
	asked  [][]bool  // by input and piece
	needs  chan need // asked for and not begun
}

func newFeed(q *Request) *feed {
	f := &feed{inputs: q.Inputs, asked: make([][]bool, len(q.Inputs)), needs: make(chan need, 1)}
	for i := range q.Inputs {
		if in := &q.Inputs[i]; in.pieced() {
			f.asked[i] = make([]bool, task.Pieces(in.Size))
		}
	}
	return f
}

// ask takes what the child asks for. It refuses what no honest child does: its
// program's limit on time stands still while it waits, and what it may wait
// for must have an end.
func (f *feed) ask(n need) error {
	if f.asked[n.input][n.piece] {
		return fmt.Errorf("piece %d of input %d is asked for again", n.piece, n.input)
	}
	f.asked[n.input][n.piece] = true
	select {
	case f.needs <- n:
		return nil
	default:
		return fmt.Errorf("piece %d of input %d is asked for before an earlier one has come", n.piece, n.input)
	}
}

// end says that nothing will be asked any more.
func (f *feed) end() { close(f.needs) }

// run serves until end is called, or ctx ends. Errors are ErrInput or, where
// the child or ctx has ended, any other.
func (f *feed) run(ctx context.Context, p *process, wall *wall) error {
	var frame []byte
	for n := range f.needs {
		if frame == nil {
			frame = newFrame(task.PieceSize)[:frameHead+task.PieceSize]
		}
		in := &f.inputs[n.input]
		from, size := in.piece(n.piece)
		frame := frame[:frameHead+size]
		wall.pause()
		err := in.Piece(ctx, n.piece, frame[frameHead:])
		wall.resume()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			p.kill()
			return inputError(in, from, err)
		}
		if err := writeFrame(p.requests, framePiece, frame); err != nil {
			return err
		}
	}
	return nil
}

// wall is an attempt's limit on time. It stands still while the program waits
// for a piece: how long that takes says nothing about the program. The
// goroutine that feeds the child pauses it and lets it go on.
type wall struct {
	timer *time.Timer
	left  time.Duration // as of began
	began time.Time
}

// startWall calls passed when so much time has passed.
func startWall(limit time.Duration, passed func()) *wall {
	return &wall{timer: time.AfterFunc(limit, passed), left: limit, began: time.Now()}
}

func (w *wall) pause() {
	if w.timer.Stop() {
		w.left -= time.Since(w.began)
	}
}

func (w *wall) resume() {
	w.began = time.Now()
	w.timer.Reset(w.left)
}

func (w *wall) end() { w.timer.Stop() }
