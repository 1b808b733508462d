package publisher

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/task"
)

// lineEntrySize is the bytes of one group in a page: offset, length, digest.
const lineEntrySize = 8 + 8 + len(task.Digest{})

// CheckLineIndex reads a whole file and makes sure that the index which a job
// names is the one that its lines give: that the groups of PerTask lines
// follow one another, cover the file exactly and are cut behind newlines, and
// that all digests are right, of each group, each page, the list of pages and
// the file. pages gives it page n as it was uploaded; it is called in order,
// once for each page, and the bytes are not kept.
//
// What is wrong with the index wraps task.ErrBadIndex, what is wrong with the
// file ErrLines; other errors are those of file and pages.
func CheckLineIndex(ctx context.Context, lines *task.Lines, file io.Reader, pages func(n uint64) ([]byte, error)) error {
	if lines.PerTask == 0 || lines.Tasks == 0 || lines.Tasks > task.MaxLineTasks || lines.Size <= 0 || lines.Size > task.MaxInputSize {
		return fmt.Errorf("%w: %d lines a task, %d tasks and %d bytes cannot be", task.ErrBadIndex, lines.PerTask, lines.Tasks, lines.Size)
	}
	n, count := uint64(0), (lines.Tasks+task.LinesPerPage-1)/task.LinesPerPage
	x, err := BuildLineIndex(ctx, io.LimitReader(file, lines.Size+1), lines.PerTask, func(want []byte) error {
		if n == count {
			return fmt.Errorf("%w: the file's lines make more than the %d tasks that it describes", task.ErrBadIndex, lines.Tasks)
		}
		got, err := pages(n)
		if err != nil {
			return fmt.Errorf("page %d of the lines index: %w", n, err)
		}
		if err := comparePage(n, got, want); err != nil {
			return err
		}
		n++
		return nil
	})
	switch {
	case err != nil:
		return err
	case x.Size != lines.Size:
		return fmt.Errorf("%w: the file has %s bytes, the job says %d", task.ErrBadIndex, countUpTo(x.Size, lines.Size), lines.Size)
	case x.Tasks != lines.Tasks:
		return fmt.Errorf("%w: the file's %d lines make %d tasks of %d lines, the job says %d tasks",
			task.ErrBadIndex, x.Lines, x.Tasks, x.PerTask, lines.Tasks)
	case x.Blob != lines.Blob:
		return fmt.Errorf("%w: the file has digest %s, the job says %s", task.ErrBadIndex, x.Blob, lines.Blob)
	}
	if list := task.Sum(x.List()); list != lines.Index {
		return fmt.Errorf("%w: the list of its pages has digest %s, the job says %s", task.ErrBadIndex, list, lines.Index)
	}
	return nil
}

func countUpTo(n, limit int64) string {
	if n > limit {
		return fmt.Sprintf("more than %d", limit)
	}
	return fmt.Sprint(n)
}

// comparePage says where a page differs from the one that the file gives.
func comparePage(n uint64, got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: page %d: %s", task.ErrBadIndex, n, fmt.Sprintf(format, args...))
	}
	if len(got) != len(want) {
		return bad("it has %d bytes, the file's lines give %d", len(got), len(want))
	}
	k := 0
	for bytes.Equal(got[k*lineEntrySize:(k+1)*lineEntrySize], want[k*lineEntrySize:(k+1)*lineEntrySize]) {
		k++
	}
	g, w := got[k*lineEntrySize:], want[k*lineEntrySize:]
	i := n*task.LinesPerPage + uint64(k)
	if !bytes.Equal(g[:16], w[:16]) {
		return bad("task %d has %d bytes from %d on, its lines are %d bytes from %d on",
			i, binary.BigEndian.Uint64(g[8:]), binary.BigEndian.Uint64(g), binary.BigEndian.Uint64(w[8:]), binary.BigEndian.Uint64(w))
	}
	return bad("the lines of task %d have digest %x, it says %x", i, w[16:lineEntrySize], g[16:lineEntrySize])
}
