package state

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
)

// overflowedState has a chunk of 600 tasks, of which three are late and the
// others are sealed: two of them on the first page, one on the last.
func overflowedState(t *testing.T) *State {
	t.Helper()
	publisher, host, program := task.Key{1}, task.Key{2}, task.Digest{3}
	number := uint64(0)
	request := func(k task.Key) Request {
		number++
		return Request{Key: k, Session: 1, Opened: 1000, Number: number}
	}
	s := New()
	do := func(c Command) Answer {
		t.Helper()
		r := s.Apply(1000, []Command{c})[0]
		if r.Answer.Error != nil {
			t.Fatal(r.Answer.Error)
		}
		return r.Answer
	}
	spec := &task.JobSpec{
		Program: program, Meter: 1, Args: []string{"{from}"},
		Split:  task.Split{Kind: task.SplitRange, Range: task.Range{To: 600, Step: 1}},
		Check:  task.Check{Replicate: 1, MaxAttempts: 1},
		Limits: task.Limits{Work: 1e9, Memory: 1 << 20, Output: 1 << 20, Wall: 60_000, Deadline: 10_000},
	}
	do(&InitCluster{ID: task.ClusterID{1}, Anyone: true})
	do(&CreateProject{Request: request(publisher), Name: "science"})
	do(&Publish{Request: request(publisher), Project: "science", App: "app", Program: program, Meter: 1})
	do(&SubmitJob{Request: request(publisher), Project: "science", Spec: protocol.EncodeSpec(spec)})
	do(&Enrol{Request: request(host), Account: task.Key{4}, HostName: "host"})
	x := &Exchange{Request: request(host)}
	for i := range uint64(600) {
		x.Assign = append(x.Assign, Assignment{Stage: 1, Index: i})
	}
	report, judge := &Exchange{Request: request(host)}, &Judge{}
	for i, id := range do(x).Attempts {
		if i != 7 && i != 100 && i != 599 {
			report.Reports = append(report.Reports, Report{Attempt: id, Work: 1})
			judge.Verdicts = append(judge.Verdicts, Verdict{Stage: 1, Index: uint64(i), Winner: id})
		}
	}
	do(report)
	do(judge)
	do(&Overflow{Stage: 1})
	do(&Seal{Stage: 1, Sheaf: task.Digest{5}})
	if !s.overflow.At(1).Sealed {
		t.Fatal("the chunk did not overflow")
	}
	return s
}

// A snapshot with the right digest, in which late tasks and their chunk do not
// fit together, is refused.
func TestOverflowThatDoesNotFitIsRefused(t *testing.T) {
	gone := Task{State: TaskGone}
	for _, c := range []struct {
		name string
		do   func(s *State, k *Chunk, o *Overflowed)
		fits bool
	}{
		{"as it is", func(*State, *Chunk, *Overflowed) {}, true},
		{"a place that is not there", func(_ *State, k *Chunk, _ *Overflowed) { k.Overflow = 2 }, false},
		{"another stage's", func(_ *State, _ *Chunk, o *Overflowed) { o.Stage = 2 }, false},
		{"another chunk's", func(_ *State, _ *Chunk, o *Overflowed) { o.Chunk = 1 }, false},
		{"no late task", func(_ *State, _ *Chunk, o *Overflowed) { o.Late = nil }, false},
		{"too many", func(_ *State, _ *Chunk, o *Overflowed) { o.Late = make([]uint16, MaxOverflow+1) }, false},
		{"not ascending", func(_ *State, _ *Chunk, o *Overflowed) { o.Late = []uint16{100, 7, 599} }, false},
		{"one twice", func(_ *State, _ *Chunk, o *Overflowed) { o.Late = []uint16{7, 7, 599} }, false},
		{"one beyond the chunk", func(_ *State, _ *Chunk, o *Overflowed) { o.Late = []uint16{7, 100, 600} }, false},
		{"one that has no record", func(_ *State, _ *Chunk, o *Overflowed) { o.Late = []uint16{7, 101, 599} }, false},
		{"one that is not late", func(_ *State, _ *Chunk, o *Overflowed) { o.Late = []uint16{7, 599} }, false},
		{"a hash is missing", func(_ *State, _ *Chunk, o *Overflowed) { o.Hashes = slices.Clone(o.Hashes[1:]) }, false},
		{"no hashes", func(_ *State, _ *Chunk, o *Overflowed) { o.Hashes = nil }, false},
		{"hashes, and a root", func(_ *State, k *Chunk, _ *Overflowed) { k.Released = true }, false},
		{"the others not sealed", func(_ *State, _ *Chunk, o *Overflowed) { o.Sealed = false }, false},
		{"sealed in full", func(_ *State, k *Chunk, _ *Overflowed) { k.Sealed = true }, false},
		{"a late task has gone", func(s *State, _ *Chunk, _ *Overflowed) { *s.tasks[1].tasks.Edit(7) = gone }, false},
		{"a sealed task is there", func(s *State, _ *Chunk, _ *Overflowed) { *s.tasks[1].tasks.Edit(8) = Task{Want: 1} }, false},
		{"a sealed task has counters", func(s *State, _ *Chunk, _ *Overflowed) { s.tasks[1].tasks.Edit(8).Want = 1 }, false},
	} {
		s := overflowedState(t)
		c.do(s, s.tasks[1].chunks.Edit(0), s.overflow.Edit(1))
		var b bytes.Buffer
		f := s.Freeze()
		if _, err := f.Write(&b); err != nil {
			t.Fatal(err)
		}
		f.Release()
		switch r, err := Restore(&b); {
		case c.fits != (err == nil) || err != nil && !errors.Is(err, ErrSnapshot):
			t.Errorf("%s: %v", c.name, err)
		case c.fits && r.Digest() != s.Digest():
			t.Errorf("%s: the restored state has another digest", c.name)
		}
	}
}
