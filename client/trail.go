package client

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// trail is a file of JSON lines, one for each report that a coordinator has
// acknowledged, on the disk before the journal forgets the report. It is there
// to be compared with what the cluster says in the end.
type trail struct {
	f       *os.File
	written map[task.AttemptID]bool // by an earlier run, of the request that was on its way
}

// trailLine is one acknowledged report.
type trailLine struct {
	Job     task.JobID     `json:"job"`
	Level   uint8          `json:"level"`
	Index   uint64         `json:"index"`
	Attempt task.AttemptID `json:"attempt"`
	Output  task.Digest    `json:"output,omitzero"`
	Exit    task.Exit      `json:"exit"`
	Work    uint64         `json:"work"`
	Failure string         `json:"failure,omitempty"`
	Ack     string         `json:"ack"`
}

// maxTrailLine bounds a line that is read back, in bytes.
const maxTrailLine = 4 << 10

// openTrail opens the file, or makes it. A last line that a crash cut short is
// removed: its report is acknowledged again. pending are the reports of the
// request that was on its way: those that are in the file already are not
// written again. Without a path there is no trail.
func openTrail(path string, pending []task.AttemptID) (*trail, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("trail: %w", err)
	}
	t := &trail{f: f, written: map[task.AttemptID]bool{}}
	if err := t.readBack(pending); err != nil {
		return nil, errors.Join(fmt.Errorf("trail %s: %w", path, err), f.Close())
	}
	return t, nil
}

func (t *trail) readBack(pending []task.AttemptID) error {
	asked := map[task.AttemptID]bool{}
	for _, id := range pending {
		asked[id] = true
	}
	whole := int64(0)
	r := bufio.NewReaderSize(t.f, maxTrailLine)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		whole += int64(len(line))
		var l trailLine
		if err := json.Unmarshal(line, &l); err != nil {
			return fmt.Errorf("the line that ends at byte %d: %w", whole, err)
		}
		if asked[l.Attempt] {
			t.written[l.Attempt] = true
		}
	}
	if err := t.f.Truncate(whole); err != nil {
		return err
	}
	_, err := t.f.Seek(whole, io.SeekStart)
	return err
}

// add writes what became of reports, and returns when it is on the disk.
func (t *trail) add(held []*held, acks []protocol.Ack) error {
	if t == nil || len(held) == 0 {
		return nil
	}
	var b []byte
	for i, h := range held {
		if t.written[h.attempt.ID] {
			continue
		}
		r := &h.result.Report
		l := trailLine{
			Job: h.attempt.Task.Job, Level: h.attempt.Task.Level, Index: h.attempt.Task.Index,
			Attempt: h.attempt.ID, Exit: r.Exit, Work: r.Work, Ack: acks[i].String(),
		}
		if r.Failure == protocol.FailureNone {
			l.Output = task.Sum(r.Outputs)
		} else {
			l.Failure = r.Failure.String()
		}
		line, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("trail: %w", err)
		}
		b = append(append(b, line...), '\n')
	}
	if _, err := t.f.Write(b); err != nil {
		return fmt.Errorf("trail: %w", err)
	}
	if err := t.f.Sync(); err != nil {
		return fmt.Errorf("trail: %w", err)
	}
	return nil
}

func (t *trail) Close() error {
	if t == nil {
		return nil
	}
	return t.f.Close()
}
