package task_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

func TestPieceList(t *testing.T) {
	file := bytes.Repeat([]byte("0123456789abcdef"), (3*task.PieceSize+16)/16)
	for _, size := range []int64{0, 1, task.PieceSize - 1, task.PieceSize, task.PieceSize + 1, 3 * task.PieceSize, 3*task.PieceSize + 16} {
		for _, step := range []int64{1 << 10, task.PieceSize, 4*task.PieceSize + 1} {
			var l task.PieceLister
			for at := int64(0); at < size; at += step {
				if n, err := l.Write(file[at:min(size, at+step)]); err != nil || int64(n) != min(size, at+step)-at {
					t.Fatalf("wrote %d bytes: %v", n, err)
				}
			}
			list := l.List()
			if err := list.Check(size); err != nil || int64(len(list)) != task.PieceListSize(size) {
				t.Fatalf("%d bytes, %d at a time: %v", size, step, err)
			}
			for n := range task.Pieces(size) {
				from := n * task.PieceSize
				if want := task.Sum(file[from:min(size, from+task.PieceSize)]); list.At(n) != want {
					t.Errorf("%d bytes, %d at a time: piece %d has digest %s, want %s", size, step, n, list.At(n), want)
				}
			}
		}
	}
	for _, c := range []struct{ list, size int64 }{{0, 1}, {31, 1}, {33, 1}, {64, task.PieceSize}, {32, task.PieceSize + 1}, {32, 0}, {0, -1}} {
		if err := task.PieceList(make([]byte, c.list)).Check(c.size); !errors.Is(err, task.ErrBadPieces) {
			t.Errorf("a list of %d bytes for a file of %d: %v, want ErrBadPieces", c.list, c.size, err)
		}
	}
}
