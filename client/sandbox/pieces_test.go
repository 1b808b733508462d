package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/client/sandbox"
	"github.com/sheafgrid/sheaf/task"
)

// inPieces is an input that comes in pieces; which, in which order, is added
// to *asked.
func inPieces(path string, content []byte, asked *[]int64) sandbox.InputFile {
	return sandbox.InputFile{Path: path, Size: int64(len(content)), Piece: func(_ context.Context, n int64, b []byte) error {
		*asked = append(*asked, n)
		if k := copy(b, content[n*task.PieceSize:]); k < len(b) {
			return io.ErrUnexpectedEOF
		}
		return nil
	}}
}

func placesRequest(t *testing.T, args ...string) sandbox.Request {
	t.Helper()
	q := request(t, args...)
	q.Module, q.Limits.Work = module(t, "places"), 1e10
	return q
}

// A program sees no difference between an input that comes in pieces and one
// that is there, and only what it reads comes.
func TestPieces(t *testing.T) {
	content := bytes.Repeat([]byte("every line has its number\n"), 400_000) // 10,400,000 bytes: ten pieces
	for _, c := range []struct {
		places string
		want   []int64
	}{
		{"5000000", []int64{4}},
		{"1048574 1048574 1048576", []int64{0, 1}}, // twice over a border
		{"10400000 10399999 99999999 9437184", []int64{9}},
		{"", nil},
		{"9000000 all", []int64{8, 0, 1, 2, 3, 4, 5, 6, 7, 9}},
	} {
		t.Run(c.places, func(t *testing.T) {
			args := append([]string{"/in/large"}, strings.Fields(c.places)...)
			whole := placesRequest(t, args...)
			whole.Inputs = append(whole.Inputs, file("large", string(content)))
			want := run(t, runner(t), whole)
			var asked []int64
			q := placesRequest(t, args...)
			q.Inputs = append(q.Inputs, inPieces("large", content, &asked))
			if got := run(t, runner(t), q); !reflect.DeepEqual(got, want) || got.Exit != 0 {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			if !reflect.DeepEqual(asked, c.want) {
				t.Errorf("pieces %v came, want %v", asked, c.want)
			}
		})
	}
}

// What a program waits for its input counts against no limit of its own, and
// the process goes on giving signs of life.
func TestWaitingForAPieceIsNotTheProgramsTime(t *testing.T) {
	t.Parallel()
	var asked []int64
	in := inPieces("large", make([]byte, task.PieceSize), &asked)
	comes, beats := in.Piece, make(chan struct{}, 100)
	in.Piece = func(ctx context.Context, n int64, b []byte) error {
		for range 7 { // one a second: longer than the limit
			select {
			case <-beats:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return comes(ctx, n, b)
	}
	q := placesRequest(t, "/in/large", "0")
	q.Limits.Wall = 5000
	q.Inputs = append(q.Inputs, in)
	o, err := runner(t).Run(t.Context(), q, func(sandbox.Progress) { beats <- struct{}{} })
	if err != nil || o.Exit != 0 {
		t.Errorf("%v, %v", o.Exit, err)
	}
}

// An input that fails, or a stop, ends the attempt; the program never hears of it.
func TestPiecesThatFail(t *testing.T) {
	content := make([]byte, 3*task.PieceSize)
	var asked []int64
	in := inPieces("large", content, &asked)
	q := placesRequest(t, "/in/large", "all")
	q.Inputs = append(q.Inputs, in)
	lost := errors.New("the network is gone for good")
	fail := func(fail func(ctx context.Context) error) (sandbox.Outcome, error) {
		q.Inputs[len(q.Inputs)-1].Piece = func(ctx context.Context, n int64, b []byte) error {
			if n == 1 {
				return fail(ctx)
			}
			return in.Piece(ctx, n, b)
		}
		return runner(t).Run(t.Context(), q, nil)
	}
	o, err := fail(func(context.Context) error { return lost })
	if !errors.Is(err, sandbox.ErrInput) || !errors.Is(err, lost) || o.Outputs != nil {
		t.Errorf("a piece that cannot be had: %+v, %v", o, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	ended := false
	q.Inputs[len(q.Inputs)-1].Piece = func(ctx context.Context, _ int64, _ []byte) error {
		cancel(stopped)
		<-ctx.Done()
		ended = true
		return ctx.Err()
	}
	if _, err := runner(t).Run(ctx, q, nil); !errors.Is(err, stopped) || !ended {
		t.Errorf("stopped while it waited: %v, the wait has ended: %v", err, ended)
	}
}
