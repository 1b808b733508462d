package publisher

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/sheafgrid/sheaf/task"
)

// MaxLineRange is the most bytes that the lines of one task may have together.
const MaxLineRange = 64 << 20

// ErrLines is wrapped by the error about a file that cannot be split by lines.
var ErrLines = errors.New("file cannot be split by lines")

// LineIndex is a file cut into groups of PerTask lines, one group a task. Its
// pages, which say where each group is, are blobs of their own.
type LineIndex struct {
	Blob    task.Digest // of the whole file
	Size    int64       // bytes of the whole file
	PerTask uint32
	Lines   uint64 // of the whole file; a last one without a newline counts
	Tasks   uint64
	Pages   []task.Digest
}

// List is the blob that lists the pages. Its digest names the index.
func (x *LineIndex) List() []byte { return task.EncodeIndex(x.Pages) }

// Split is the index as a job's specification names it; path is where tasks
// find their lines under /in.
func (x *LineIndex) Split(path string) task.Split {
	return task.Split{Kind: task.SplitLines, Lines: task.Lines{
		Path: path, Blob: x.Blob, Size: x.Size, PerTask: x.PerTask, Tasks: x.Tasks, Index: task.Sum(x.List()),
	}}
}

// BuildLineIndex cuts what r delivers after every perTask lines. A line ends
// behind its newline, whatever stands before that (a carriage return is part
// of the line); the last one may lack it. Each page, of task.LinesPerPage
// groups, is given to page as soon as it is complete, in order; the bytes are
// only valid during the call, and an error of page ends the work.
//
// It reads r once, to its end, and keeps no more of it than a buffer. A file
// that is empty, too large, or has a group of more than MaxLineRange bytes is
// ErrLines.
func BuildLineIndex(ctx context.Context, r io.Reader, perTask uint32, page func([]byte) error) (*LineIndex, error) {
	if perTask == 0 {
		return nil, fmt.Errorf("%w: lines a task must be at least 1", ErrLines)
	}
	x := newLineIndexer(perTask, 0, page)
	whole := sha256.New()
	buf := make([]byte, copyBuffer)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := r.Read(buf)
		whole.Write(buf[:n])
		if e := x.add(buf[:n]); e != nil {
			return nil, e
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if err := x.finish(); err != nil {
		return nil, err
	}
	if x.index.Size == 0 {
		return nil, fmt.Errorf("%w: it is empty, so there is nothing to compute", ErrLines)
	}
	x.index.Blob = task.Digest(whole.Sum(nil))
	return &x.index, nil
}

// copyBuffer is how much of a file is in memory at a time, in bytes.
const copyBuffer = 256 << 10

// lineIndexer takes a file in pieces.
type lineIndexer struct {
	index LineIndex
	emit  func([]byte) error

	page    []byte
	offset  uint64 // where the group began
	length  uint64 // bytes of the group so far
	lines   uint32 // complete lines of the group
	partial bool   // of a line that has begun
	sum     hash.Hash
}

func newLineIndexer(perTask uint32, offset uint64, emit func([]byte) error) *lineIndexer {
	return &lineIndexer{index: LineIndex{PerTask: perTask}, emit: emit, offset: offset, sum: sha256.New()}
}

func (x *lineIndexer) add(b []byte) error {
	x.index.Size += int64(len(b))
	if x.index.Size > task.MaxInputSize {
		return fmt.Errorf("%w: it has more than %d bytes; cut it into several files and submit a job for each", ErrLines, task.MaxInputSize)
	}
	for len(b) > 0 {
		taken := 0
		for taken < len(b) && x.lines < x.index.PerTask {
			end := bytes.IndexByte(b[taken:], '\n')
			if end < 0 {
				taken, x.partial = len(b), true
				break
			}
			taken += end + 1
			x.partial = false
			x.lines++
			x.index.Lines++
		}
		x.sum.Write(b[:taken])
		if x.length += uint64(taken); x.length > MaxLineRange {
			return x.tooLong()
		}
		b = b[taken:]
		if x.lines == x.index.PerTask {
			if err := x.cut(); err != nil {
				return err
			}
		}
	}
	return nil
}

// tooLong says what to do about a group that is too large for a task.
func (x *lineIndexer) tooLong() error {
	if x.lines == 0 || x.lines == 1 && !x.partial {
		return fmt.Errorf("%w: line %d alone has more than %d MiB, the most that one task may read; break it into lines, "+
			"or make the file an input and split another way", ErrLines, x.index.Lines+uint64(1-min(x.lines, 1)), MaxLineRange>>20)
	}
	return fmt.Errorf("%w: %d lines a task are too many: those of task %d have more than %d MiB, the most that one task may read; "+
		"put fewer lines into a task", ErrLines, x.index.PerTask, x.index.Tasks, MaxLineRange>>20)
}

// cut ends a group.
func (x *lineIndexer) cut() error {
	var digest task.Digest
	x.sum.Sum(digest[:0])
	x.page = task.AppendLineRange(x.page, task.LineRange{Offset: x.offset, Length: x.length, Digest: digest})
	x.offset += x.length
	x.length, x.lines = 0, 0
	x.sum.Reset()
	if x.index.Tasks++; x.index.Tasks > task.MaxLineTasks {
		return fmt.Errorf("%w: more than %d tasks; put more lines into a task", ErrLines, task.MaxLineTasks)
	}
	if x.index.Tasks%task.LinesPerPage == 0 {
		return x.turn()
	}
	return nil
}

// turn ends a page.
func (x *lineIndexer) turn() error {
	x.index.Pages = append(x.index.Pages, task.Sum(x.page))
	err := x.emit(x.page)
	x.page = x.page[:0]
	return err
}

// finish ends the last line, the last group and the last page.
func (x *lineIndexer) finish() error {
	if x.partial {
		x.index.Lines++
	}
	if x.length > 0 {
		if err := x.cut(); err != nil {
			return err
		}
	}
	if len(x.page) > 0 {
		return x.turn()
	}
	return nil
}
