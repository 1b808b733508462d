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
// one goroutine at a time, always with the context of the same run.
type pieces struct {
	run  *run
	in   *task.InputRange
	list task.PieceList

	next   int64 // the piece that follows the last one that was read
	ahead  int64 // how many pieces are fetched ahead now
	early  map[int64]*early
	behind sync.WaitGroup // what works on early pieces
}

// early is a piece that is fetched before the program reads it.
type early struct {
	done chan struct{}
	file *cached // once done; nil: it could not be had
}

// piece is a sandbox.InputFile's Piece. It waits for as long as nobody answers
// and ctx lives.
func (p *pieces) piece(ctx context.Context, n int64, b []byte) error {
	f, err := p.get(ctx, n)
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

// get is take, of a piece that may have been fetched ahead.
func (p *pieces) get(ctx context.Context, n int64) (*cached, error) {
	if e := p.early[n]; e != nil {
		delete(p.early, n)
		if <-e.done; e.file != nil {
			return e.file, nil
		}
	}
	return p.take(ctx, n)
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
	if n == p.next {
		p.ahead = min(max(1, 2*p.ahead), maxAhead)
	} else {
		p.ahead = 0
		p.drop()
	}
	p.next = n + 1
	for k := p.next; k < min(p.next+p.ahead, task.Pieces(p.in.Length)); k++ {
		if p.early[k] != nil {
			continue
		}
		e := &early{done: make(chan struct{})}
		p.early[k] = e
		p.behind.Go(func() {
			e.file, _ = p.take(ctx, k) // an error comes again when the program reads it
			close(e.done)
		})
	}
}

// drop gives back what was fetched ahead and is not read next.
func (p *pieces) drop() {
	for _, e := range p.early {
		p.behind.Go(func() {
			if <-e.done; e.file != nil {
				_ = e.file.Close()
			}
		})
	}
	clear(p.early)
}

// end gives back everything, once piece will not be called any more and its
// context has ended.
func (p *pieces) end() {
	p.drop()
	p.behind.Wait()
}

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
