package client

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/sheafgrid/sheaf/task"
)

// maxAhead is how many pieces are fetched ahead of a program that reads one
// after the other: together they hide a line's delay, and waste little where
// the program stops.
const maxAhead = 4

// pieces is an input of which a task fetches what its program reads. Each
// piece is a file of the cache, like any input. The sandbox calls piece from
// one goroutine at a time.
type pieces struct {
	run  *run
	in   *task.InputRange
	list task.PieceList

	next   int64          // the piece that follows the last one that was read
	ahead  int64          // how many pieces are fetched ahead now
	begun  int64          // pieces before this one need not be fetched ahead, while the program reads on
	behind sync.WaitGroup // what fetches ahead
}

// piece is a sandbox.InputFile's Piece. It waits for as long as nobody answers
// and ctx lives.
func (p *pieces) piece(ctx context.Context, n int64, b []byte) error {
	f, err := p.take(ctx, n)
	if err != nil {
		return err
	}
	defer f.Close()
	p.readAhead(ctx, n)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, f.size), b); err != nil {
		return diskError(err)
	}
	return nil
}

// take gets a piece from the cache, or from the coordinators.
func (p *pieces) take(ctx context.Context, n int64) (*cached, error) {
	from := n * task.PieceSize
	size := min(task.PieceSize, p.in.Length-from)
	f, err := p.run.cache.take(ctx, p.list.At(n), size, func(w io.Writer) error {
		return p.run.remote.Download(ctx, p.in.Blob, from, size, w)
	})
	if err != nil {
		return nil, fmt.Errorf("piece %d: %w", n, err)
	}
	return f, nil
}

// readAhead fetches what follows piece n, if the program seems to read on: more
// of it the longer it does.
func (p *pieces) readAhead(ctx context.Context, n int64) {
	if n != p.next {
		p.ahead, p.begun = 0, n+1
	} else {
		p.ahead = min(max(1, 2*p.ahead), maxAhead)
	}
	p.next = n + 1
	p.begun = max(p.begun, p.next)
	for ; p.begun < min(p.next+p.ahead, task.Pieces(p.in.Length)); p.begun++ {
		k := p.begun
		p.behind.Go(func() {
			if f, err := p.take(ctx, k); err == nil { // if not, it is tried again when the program reads it
				_ = f.Close()
			}
		})
	}
}

// wait returns when nothing is fetched ahead any more. The context of the last
// call of piece has ended.
func (p *pieces) wait() { p.behind.Wait() }

// pieceList gets the list of an input's pieces.
func (r *run) pieceList(ctx context.Context, in *task.InputRange) (task.PieceList, error) {
	size := task.PieceListSize(in.Length)
	f, err := r.cache.take(ctx, in.Pieces, size, func(w io.Writer) error {
		return r.remote.Download(ctx, in.Pieces, 0, size, w)
	})
	if err != nil {
		return nil, fmt.Errorf("list of its pieces: %w", err)
	}
	defer f.Close()
	list := make(task.PieceList, f.size)
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, f.size), list); err != nil {
		return nil, diskError(err)
	}
	if err := list.Check(in.Length); err != nil {
		return nil, fmt.Errorf("%w: it %w", err, errMismatch)
	}
	return list, nil
}
