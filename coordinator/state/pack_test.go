package state

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sheafgrid/sheaf/internal/wire"
	"github.com/sheafgrid/sheaf/task"
)

// pageOf is a section of records packed from number first on.
func pageOf(first, count uint64, packed []byte) []byte {
	return wire.Marshal(packedSection{First: first, Count: count, Bytes: packed})
}

// packedExamples are records with small, large and absent numbers.
func packedExamples() (tasks []Task, attempts []Attempt) {
	tasks = []Task{
		{},
		{Want: 2},
		{Last: 1<<32 - 1, Accepted: 1 << 31, State: TaskAccepted, Open: 1, Reported: 255, Tries: 50},
		{Last: 7, State: TaskFailed, Fail: FailNoResult, Ripe: true},
	}
	attempts = []Attempt{
		{},
		{Serial: 1, Previous: 2, Stage: 3, Index: 999_999_999, Host: 5, State: AttemptOpen, Deadline: 1 << 40},
		{Stage: 1, Host: 1, State: AttemptReported, Exit: 65535, Work: 1<<64 - 1, Deadline: 1, Output: task.Sum([]byte("x"))},
		{Stage: 1, Host: 1, State: AttemptReturned, Failure: 4, Deadline: 1},
	}
	return tasks, attempts
}

func TestPackedRecordsComeBack(t *testing.T) {
	tasks, attempts := packedExamples()
	var packed []byte
	for i := range tasks {
		packed = packTask(packed, &tasks[i])
	}
	var gotTasks Table[Task]
	if err := unpackPage(pageOf(0, uint64(len(tasks)), packed), &gotTasks, &sharing{}, pageSize, unpackTask); err != nil {
		t.Fatal(err)
	}
	for i, want := range tasks {
		if got := *gotTasks.At(uint64(i)); got != want {
			t.Errorf("task %d came back as %+v, want %+v", i, got, want)
		}
	}
	packed = nil
	for i := range attempts {
		packed = packAttempt(packed, &attempts[i])
	}
	var gotAttempts Table[Attempt]
	if err := unpackPage(pageOf(0, uint64(len(attempts)), packed), &gotAttempts, &sharing{}, pageSize, unpackAttempt); err != nil {
		t.Fatal(err)
	}
	for i, want := range attempts {
		if got := *gotAttempts.At(uint64(i)); got != want {
			t.Errorf("attempt %d came back as %+v, want %+v", i, got, want)
		}
	}
}

func TestPackedPagesAreRefused(t *testing.T) {
	whole := packTask(nil, &Task{Last: 1})
	for _, c := range []struct {
		name string
		page []byte
	}{
		{"cut short", pageOf(0, 1, whole[:len(whole)-1])},
		{"bytes behind", pageOf(0, 1, append(bytes.Clone(whole), 0))},
		{"more records than bytes", pageOf(0, 2, whole)},
		{"more records than a page has", pageOf(0, 1<<60, whole)},
		{"no record", pageOf(0, 0, nil)},
		{"a number in a longer form", pageOf(0, 1, append([]byte{0x81, 0x00}, whole[1:]...))},
		{"a slot above 32 bits", pageOf(0, 1, append([]byte{0xff, 0xff, 0xff, 0xff, 0x1f}, whole[1:]...))},
		{"a state that is not known", pageOf(0, 1, []byte{1, 0, 4, 0, 0, 0, 0, 0, 0})},
		{"not at a page's beginning", pageOf(1, 1, whole)},
		{"beyond the table", pageOf(pageSize, 1, whole)},
	} {
		var table Table[Task]
		if err := unpackPage(c.page, &table, &sharing{}, pageSize, unpackTask); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v, want %v", c.name, err, wire.ErrMalformed)
		}
	}
}

// What is read is exactly what would be written: a record has one encoding.
func FuzzUnpackPage(f *testing.F) {
	tasks, attempts := packedExamples()
	for i := range tasks {
		f.Add(uint64(1), packTask(nil, &tasks[i]))
	}
	for i := range attempts {
		f.Add(uint64(1), packAttempt(nil, &attempts[i]))
	}
	f.Fuzz(func(t *testing.T, count uint64, packed []byte) {
		var gotTasks Table[Task]
		if unpackPage(pageOf(0, count, packed), &gotTasks, &sharing{}, pageSize, unpackTask) == nil {
			var again []byte
			for i := range count {
				again = packTask(again, gotTasks.At(i))
			}
			if !bytes.Equal(again, packed) {
				t.Errorf("tasks %x are written as %x", packed, again)
			}
		}
		var gotAttempts Table[Attempt]
		if unpackPage(pageOf(0, count, packed), &gotAttempts, &sharing{}, pageSize, unpackAttempt) == nil {
			var again []byte
			for i := range count {
				again = packAttempt(again, gotAttempts.At(i))
			}
			if !bytes.Equal(again, packed) {
				t.Errorf("attempts %x are written as %x", packed, again)
			}
		}
	})
}
