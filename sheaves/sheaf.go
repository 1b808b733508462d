package sheaves

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/sheafgrid/sheaf/task"
)

// MaxTasks is how many tasks one sheaf holds at most.
const MaxTasks = 4096

// MaxBytes bounds a sheaf, in bytes: MaxTasks tasks with task.MaxAttempts
// attempts each, all of them wrong.
const MaxBytes = 32 << 20

// Sheaf is what is kept of a chunk. A chunk of which some tasks dragged on has
// two: in each of them the tasks of the other are missing.
type Sheaf struct {
	Job   task.JobID
	Level uint8
	First uint64     // the number of Tasks[0], the chunk's first
	Hosts []task.Key // whom attempts were given to, in the order of their first one
	Tasks []Task
}

// Task is what became of one task.
type Task struct {
	Missing  bool  // it is in the chunk's other sheaf; there is nothing else
	Fail     uint8 // why it ended failed; 0: it was accepted
	Result   Result
	Attempts []Attempt // the latest first
}

// Result is what an attempt returned.
type Result struct {
	Exit   task.Exit
	Work   uint64 // counted instructions
	Output task.Digest
}

// End is how an attempt ended.
type End uint8

// The ends.
const (
	Valid    End = 1 // its result is the accepted one
	Wrong    End = 2
	Expired  End = 3 // the deadline passed
	Returned End = 4 // the host gave it back without a result
	Dropped  End = 5 // the host lost it, or nobody waited for it
	Reported End = 6 // its result was compared with no other: the task ended failed
	lastEnd      = Reported
)

// HasResult reports whether an attempt that ended so brought a result.
func (e End) HasResult() bool { return e == Valid || e == Wrong || e == Reported }

// Attempt is one attempt at a task.
type Attempt struct {
	ID     task.AttemptID // as the host knew it
	Host   int            // its place in Sheaf.Hosts
	End    End
	Result Result // of one that brought a result
}

const magic = "sheaf 1\n"

// missing stands in place of a task's Fail, and of all that would follow.
const missing = 0xff

// Encode is the sheaf's one canonical form.
func (s *Sheaf) Encode() []byte { return s.Append(nil) }

// Append appends what Encode returns.
func (s *Sheaf) Append(b []byte) []byte {
	b = slices.Grow(b, len(magic)+64+32*len(s.Hosts)+64*len(s.Tasks))
	b = append(b, magic...)
	b = append(b, s.Job[:]...)
	b = append(b, s.Level)
	b = binary.AppendUvarint(b, s.First)
	b = binary.AppendUvarint(b, uint64(len(s.Hosts)))
	for _, h := range s.Hosts {
		b = append(b, h[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(s.Tasks)))
	for i := range s.Tasks {
		b = s.Tasks[i].append(b)
	}
	return b
}

func (t *Task) append(b []byte) []byte {
	if t.Missing {
		return append(b, missing)
	}
	b = append(b, t.Fail)
	if t.Fail == 0 {
		b = t.Result.append(b)
	}
	b = binary.AppendUvarint(b, uint64(len(t.Attempts)))
	for _, a := range t.Attempts {
		b = binary.AppendUvarint(b, uint64(a.ID))
		b = binary.AppendUvarint(b, uint64(a.Host))
		b = append(b, byte(a.End))
		if a.End.HasResult() && a.End != Valid {
			b = a.Result.append(b)
		}
	}
	return b
}

func (r *Result) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(r.Exit))
	b = binary.AppendUvarint(b, r.Work)
	return append(b, r.Output[:]...)
}

// Digest is the digest of the canonical form.
func (s *Sheaf) Digest() task.Digest { return task.Sum(s.Encode()) }

// Root is the chunk's part of the job's result tree, if no task is missing.
func (s *Sheaf) Root() task.Digest {
	var tree task.Tree
	for i := range s.Tasks {
		tree.Add(s.Leaf(i))
	}
	return tree.Root()
}

// Leaf is what the result tree says of Tasks[i].
func (s *Sheaf) Leaf(i int) []byte {
	t, index := &s.Tasks[i], s.First+uint64(i)
	if t.Fail != 0 {
		return task.FailedLeaf(index)
	}
	return task.Leaf(index, t.Result.Exit, t.Result.Output)
}

// Task is what became of a task of the chunk by its number, or nil if it is not
// here.
func (s *Sheaf) Task(i uint64) *Task {
	if i < s.First || i-s.First >= uint64(len(s.Tasks)) || s.Tasks[i-s.First].Missing {
		return nil
	}
	return &s.Tasks[i-s.First]
}

// Merge is the sheaf of a chunk made of two parts of it: what is missing in one
// is taken from the other. It fails on parts of different chunks.
func Merge(a, b *Sheaf) (*Sheaf, error) {
	if a.Job != b.Job || a.Level != b.Level || a.First != b.First || len(a.Tasks) != len(b.Tasks) {
		return nil, fmt.Errorf("%w: the two parts are of different chunks", ErrMalformed)
	}
	whole := &Sheaf{Job: a.Job, Level: a.Level, First: a.First, Hosts: slices.Concat(a.Hosts, b.Hosts), Tasks: slices.Clone(a.Tasks)}
	for k := range whole.Tasks {
		if !whole.Tasks[k].Missing {
			continue
		}
		t := b.Tasks[k]
		t.Attempts = slices.Clone(t.Attempts)
		for i := range t.Attempts {
			t.Attempts[i].Host += len(a.Hosts)
		}
		whole.Tasks[k] = t
	}
	return whole, nil
}
