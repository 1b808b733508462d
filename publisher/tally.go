package publisher

import (
	"errors"
	"fmt"
	"io"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// tally is what the results of one level come to.
type tally struct {
	tasks    uint64 // of the level
	released uint64
	failed   uint64
	errors   uint64 // accepted, and the program ended with an error
	empty    uint64 // of the failed and the errors: left no output
	files    uint64
	bytes    int64
	stdout   int64 // of bytes, in standard outputs
	next     uint64
	tree     task.Tree
}

// add takes the next result of the level, in task order.
func (t *tally) add(l *ResultLine) error {
	if err := l.check(t.tasks); err != nil {
		return err
	}
	if l.Index < t.next {
		return fmt.Errorf("task %d: it is out of order, or there twice", l.Index)
	}
	t.next = l.Index + 1
	t.released++
	if l.Verdict == protocol.VerdictFailed {
		t.failed++
	} else if l.Exit != 0 {
		t.errors++
	}
	if l.Exit != 0 && len(l.Files) == 0 || l.Verdict == protocol.VerdictFailed {
		t.empty++
	}
	t.files += uint64(len(l.Files))
	t.bytes += l.Files.Size()
	for i := range l.Files {
		if l.Files[i].Name == task.OutputStdout {
			t.stdout += l.Files[i].Size
		}
	}
	t.tree.Add(l.leaf())
	if t.bytes < 0 {
		return errors.New("the outputs have more bytes than can be counted")
	}
	return nil
}

// complete reports whether every task of the level has its result.
func (t *tally) complete() bool { return t.released == t.tasks }

// root is the level's root; there is none before all results are there.
func (t *tally) root() task.Digest {
	if !t.complete() {
		return task.Digest{}
	}
	return t.tree.Root()
}

// tallyResults reads a whole file of results, and gives each line to fn.
func tallyResults(r io.Reader, tasks uint64, fn func(*ResultLine) error) (*tally, error) {
	t := &tally{tasks: tasks}
	lines := newResultReader(r)
	for {
		l, err := lines.next()
		if err == io.EOF {
			return t, nil
		}
		if err != nil {
			return t, err
		}
		if err := t.add(&l); err != nil {
			return t, fmt.Errorf("line %d: %w", lines.line, err)
		}
		if fn == nil {
			continue
		}
		if err := fn(&l); err != nil {
			return t, err
		}
	}
}
