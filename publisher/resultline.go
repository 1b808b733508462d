package publisher

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// ResultLine is one line of a file of results: the fields of a
// protocol.ResultView in the form of the folder's format, version 1. (It is a
// type of its own so that a new field there does not make old folders
// unreadable: the conversion in newResultLine stops compiling instead.)
type ResultLine struct {
	Index    uint64          `json:"index"`
	Verdict  string          `json:"verdict"` // accepted, failed
	Why      string          `json:"why,omitempty"`
	Exit     task.Exit       `json:"exit"`
	Ended    string          `json:"ended"` // the exit in words
	Output   task.Digest     `json:"output,omitzero"`
	Work     uint64          `json:"work"`
	Attempts int             `json:"attempts"`
	Agreed   int             `json:"agreed"`
	Wrong    int             `json:"wrong"`
	Files    task.OutputList `json:"files,omitempty"`
}

// newResultLine takes a result from a coordinator: what follows from other
// fields is written anew, and texts are made fit to be shown.
func newResultLine(v protocol.ResultView) ResultLine {
	l := ResultLine(v)
	l.Why = cleanText(l.Why)
	if l.Verdict == protocol.VerdictFailed {
		l.Exit = task.ExitFailed
	}
	l.Ended = l.Exit.String()
	return l
}

// check refuses a line that no released task of a level with that many tasks
// can have. The list of files is compared with the digest that was voted on.
func (l *ResultLine) check(tasks uint64) error {
	if l.Index >= tasks {
		return fmt.Errorf("task %d: the level has %d tasks", l.Index, tasks)
	}
	if l.Attempts < 0 || l.Agreed < 0 || l.Wrong < 0 {
		return fmt.Errorf("task %d: it counts less than nothing", l.Index)
	}
	switch l.Verdict {
	case protocol.VerdictFailed:
		if l.Exit != task.ExitFailed || !l.Output.IsZero() || len(l.Files) > 0 {
			return fmt.Errorf("task %d: it failed and yet has a result", l.Index)
		}
		return nil
	case protocol.VerdictAccepted:
	default:
		return fmt.Errorf("task %d: the verdict %q is neither accepted nor failed", l.Index, clip(l.Verdict))
	}
	if !l.Exit.Valid() {
		return fmt.Errorf("task %d: no program can end with exit %d", l.Index, uint16(l.Exit))
	}
	if err := l.Files.Check(); err != nil {
		return fmt.Errorf("task %d: %w", l.Index, err)
	}
	if got := l.Files.Digest(); got != l.Output {
		return fmt.Errorf("task %d: its list of files has digest %s, the accepted result is %s", l.Index, got, l.Output)
	}
	return nil
}

// leaf is what the result tree says of the task.
func (l *ResultLine) leaf() []byte {
	if l.Verdict == protocol.VerdictFailed {
		return task.FailedLeaf(l.Index)
	}
	return task.Leaf(l.Index, l.Exit, l.Output)
}

// maxResultLine bounds a line in bytes: MaxOutputFiles names of MaxPathBytes,
// with their digests and sizes, take 400 KiB.
const maxResultLine = 1 << 20

// encode is the line's one form, with the newline behind it.
func (l *ResultLine) encode(b *bytes.Buffer) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e.Encode(l)
}

var errBadLine = errors.New("line cannot be read")

// resultReader reads a file of results line by line. It takes each line in no
// other form than encode gives it, so that no two programs read it differently.
type resultReader struct {
	r    *bufio.Reader
	line uint64 // number of the last line, from 1
	long []byte // a line that is longer than r's buffer
	form bytes.Buffer
}

func newResultReader(r io.Reader) *resultReader {
	return &resultReader{r: bufio.NewReaderSize(r, 32<<10)}
}

// raw returns the bytes of the next line, valid until the next call.
func (r *resultReader) raw() ([]byte, error) {
	b, err := r.r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return b, err
	}
	r.long = r.long[:0]
	for errors.Is(err, bufio.ErrBufferFull) && len(r.long) <= maxResultLine {
		r.long = append(r.long, b...)
		b, err = r.r.ReadSlice('\n')
	}
	r.long = append(r.long, b...)
	return r.long, err
}

// next returns the next line, or io.EOF behind the last.
func (r *resultReader) next() (ResultLine, error) {
	var l ResultLine
	b, err := r.raw()
	if err == io.EOF && len(b) == 0 {
		return l, io.EOF
	}
	r.line++
	switch {
	case len(b) > maxResultLine:
		return l, fmt.Errorf("line %d: %w: it has more than %d bytes", r.line, errBadLine, maxResultLine)
	case err == io.EOF:
		return l, fmt.Errorf("line %d: %w: the file ends in the middle of it", r.line, errBadLine)
	case err != nil:
		return l, err
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("line %d: %w: %w", r.line, errBadLine, err)
	}
	r.form.Reset()
	if err := l.encode(&r.form); err != nil || !bytes.Equal(r.form.Bytes(), b) {
		return l, fmt.Errorf("line %d: %w: it is not in the form that a fetch writes", r.line, errBadLine)
	}
	return l, nil
}
