package publisher

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/task"
)

// CheckPieces reads a whole file of so many bytes and makes sure that a list
// of its pieces is the one that it gives. What is wrong wraps
// task.ErrBadPieces; other errors are those of file.
func CheckPieces(ctx context.Context, list task.PieceList, file io.Reader, size int64) error {
	if err := list.Check(size); err != nil {
		return err
	}
	var l task.PieceLister
	n, err := io.CopyBuffer(&l, io.LimitReader(reading(ctx, file), size+1), make([]byte, copyBuffer))
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%w: the file has %s bytes, the job says %d", task.ErrBadPieces, countUpTo(n, size), size)
	}
	want := l.List()
	if bytes.Equal(list, want) {
		return nil
	}
	k := int64(0)
	for list.At(k) == want.At(k) {
		k++
	}
	return fmt.Errorf("%w: piece %d has digest %s, it says %s", task.ErrBadPieces, k, want.At(k), list.At(k))
}
