package task

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// SplitKind says how a job becomes tasks.
type SplitKind string

// The ways to split a job.
const (
	SplitRange SplitKind = "range" // a range of integers, Step a task
	SplitGrid  SplitKind = "grid"  // every combination of named values
	SplitLines SplitKind = "lines" // a file, so many lines a task
)

// Split says how a job becomes tasks. Only the field that Kind names counts.
type Split struct {
	Kind  SplitKind `msgpack:"k"`
	Range Range     `msgpack:"r,omitempty"`
	Grid  []Axis    `msgpack:"g,omitempty"`
	Lines Lines     `msgpack:"l,omitempty"`
}

// Range covers the integers From ≤ x < To. Task i covers Step of them, from
// From + i·Step; the last one may cover fewer. Arguments may name {from} and
// {to}, of which {to} is not part of the task.
type Range struct {
	From int64 `msgpack:"f"`
	To   int64 `msgpack:"t"`
	Step int64 `msgpack:"s"`
}

// Axis is one parameter of a grid. The last axis varies fastest.
type Axis struct {
	Name   string   `msgpack:"n"`
	Values []string `msgpack:"v"`
}

// Lines is a file cut into consecutive groups of PerTask lines. Where they
// begin is in an index (IndexPage) made once, at submission.
type Lines struct {
	Path    string `msgpack:"p"` // where a task finds its lines under /in
	Blob    Digest `msgpack:"b"` // the whole file
	Size    int64  `msgpack:"z"` // bytes of the whole file
	PerTask uint32 `msgpack:"n"` // lines a task; the last may have fewer
	Tasks   uint64 `msgpack:"t"`
	Index   Digest `msgpack:"x"` // digest of the list of the pages' digests
}

// Count is how many tasks a level of the job has; level 0 is the split itself,
// the levels above it are the reduction's. It is 0 where there is no such level.
func (s *JobSpec) Count(level uint8) uint64 {
	n := s.Split.count()
	if level == 0 {
		return n
	}
	if s.Reduce == nil {
		return 0
	}
	fan := uint64(s.Reduce.FanIn)
	for l := uint8(1); ; l++ {
		n = (n + fan - 1) / fan
		if l == level {
			return n
		}
		if n == 1 {
			return 0
		}
	}
}

// Levels is how many levels the job has: 1 without a reduction.
func (s *JobSpec) Levels() uint8 {
	l := uint8(1)
	for s.Count(l) > 0 {
		l++
	}
	return l
}

func (s *Split) count() uint64 {
	switch s.Kind {
	case SplitRange:
		width := uint64(s.Range.To) - uint64(s.Range.From) // exact even where the signed difference overflows
		step := uint64(s.Range.Step)
		return width/step + min(1, width%step)
	case SplitGrid:
		n := uint64(1)
		for _, a := range s.Grid {
			n *= uint64(len(a.Values))
		}
		return n
	case SplitLines:
		return s.Lines.Tasks
	}
	return 0
}

func (s *Split) validate() error {
	switch s.Kind {
	case SplitRange:
		r := s.Range
		if r.Step < 1 {
			return refuse("split.range.step: %d, it must be at least 1", r.Step)
		}
		if r.To <= r.From {
			return refuse("split.range: from %d to %d is empty; to must be larger than from", r.From, r.To)
		}
		if n := s.count(); n > MaxTasks {
			return refuse("split.range: %d tasks, at most %d are allowed; use a larger step", n, MaxTasks)
		}
	case SplitGrid:
		return validateGrid(s.Grid)
	case SplitLines:
		return s.Lines.validate()
	default:
		return refuse("split: %q is none of range, grid, lines", clip(string(s.Kind)))
	}
	return nil
}

func validateGrid(grid []Axis) error {
	if len(grid) == 0 || len(grid) > MaxAxes {
		return refuse("split.grid: %d parameters, allowed are 1 to %d", len(grid), MaxAxes)
	}
	n, bytes, seen := uint64(1), 0, map[string]bool{"index": true}
	for _, a := range grid {
		if !identifier(a.Name) {
			return refuse("split.grid: the parameter name %q must be a letter followed by letters, digits or _", clip(a.Name))
		}
		if seen[a.Name] {
			return refuse("split.grid: the name %q is used twice (index is taken: it is the task's number)", a.Name)
		}
		seen[a.Name] = true
		if len(a.Values) == 0 || len(a.Values) > MaxAxisValues {
			return refuse("split.grid.%s: %d values, allowed are 1 to %d", a.Name, len(a.Values), MaxAxisValues)
		}
		for _, v := range a.Values {
			bytes += len(v)
			if !printable(v) {
				return refuse("split.grid.%s: the value %q is not printable text", a.Name, clip(v))
			}
		}
		n *= uint64(len(a.Values))
		if n > MaxTasks {
			return refuse("split.grid: more than %d tasks", MaxTasks)
		}
	}
	if bytes > MaxGridBytes {
		return refuse("split.grid: %d bytes of values, at most %d are allowed; put long values into a file and split by lines", bytes, MaxGridBytes)
	}
	return nil
}

func (l *Lines) validate() error {
	if err := CheckPath(l.Path); err != nil {
		return refuse("split.lines: %v", err)
	}
	switch {
	case l.PerTask == 0:
		return refuse("split.lines: lines a task must be at least 1")
	case l.Size == 0 || l.Tasks == 0:
		return refuse("split.lines: the file %q is empty, so there is nothing to compute", l.Path)
	case l.Size < 0 || l.Size > MaxInputSize:
		return refuse("split.lines: %d bytes, at most %d are allowed", l.Size, MaxInputSize)
	case l.Tasks > MaxLineTasks:
		return refuse("split.lines: %d tasks, at most %d are allowed; put more lines into a task", l.Tasks, MaxLineTasks)
	case l.Blob.IsZero() || l.Index.IsZero():
		return refuse("split.lines: no digest of the file or of its index")
	}
	return nil
}

// placeholders are the names that arguments of the split's tasks may use.
func (s *Split) placeholders() []placeholder {
	known := []placeholder{{"index", numberWidth}}
	switch s.Kind {
	case SplitRange:
		known = append(known, placeholder{"from", numberWidth}, placeholder{"to", numberWidth})
	case SplitGrid:
		for _, a := range s.Grid {
			longest := 0
			for _, v := range a.Values {
				longest = max(longest, len(v))
			}
			known = append(known, placeholder{a.Name, longest})
		}
	}
	return known
}

// value appends the value of a placeholder for task i. Names were validated
// before.
func (s *Split) value(b []byte, name string, i uint64) []byte {
	if name == "index" {
		return strconv.AppendUint(b, i, 10)
	}
	switch s.Kind {
	case SplitRange:
		from := s.Range.From + int64(i)*s.Range.Step
		if name == "from" {
			return strconv.AppendInt(b, from, 10)
		}
		to := s.Range.To
		if uint64(to)-uint64(from) > uint64(s.Range.Step) {
			to = from + s.Range.Step
		}
		return strconv.AppendInt(b, to, 10)
	case SplitGrid:
		for k := len(s.Grid) - 1; k >= 0; k-- {
			a := &s.Grid[k]
			n := uint64(len(a.Values))
			if a.Name == name {
				return append(b, a.Values[i%n]...)
			}
			i /= n
		}
	}
	return b
}

// Task makes task i of a level. For a level that has an index (HasIndex) it
// needs the page PageOf names; otherwise page is not looked at. The task is
// the same wherever and whenever it is made.
func (s *JobSpec) Task(job JobID, level uint8, i uint64, page []byte) (Task, error) {
	if n := s.Count(level); i >= n {
		return Task{}, fmt.Errorf("task %d of level %d of job %s: the level has %d tasks", i, level, job, n)
	}
	t := Task{Job: job, Level: level, Index: i, Seed: taskSeed(s.Seed, level, i)}
	if level > 0 {
		return s.reduceTask(t, page)
	}
	t.Program, t.Meter, t.Limits = s.Program, s.Meter, s.Limits
	t.Args = expandArgs(s.Args, func(b []byte, name string) []byte { return s.Split.value(b, name, i) })
	for _, in := range s.Inputs {
		t.Inputs = append(t.Inputs, InputRange{Path: in.Path, Blob: in.Blob, Length: in.Size, Digest: in.Blob, Pieces: in.Pieces})
	}
	if s.Split.Kind == SplitLines {
		r, err := lineRange(&s.Split.Lines, i, page)
		if err != nil {
			return Task{}, fmt.Errorf("task %d of job %s: %w", i, job, err)
		}
		t.Inputs = append(t.Inputs, r)
	}
	return t, nil
}

// taskSeed depends on nothing but the specification, so that the same job,
// submitted twice, has the same tasks and the same result root.
func taskSeed(seed uint64, level uint8, i uint64) uint64 {
	b := make([]byte, 0, 32)
	b = append(append(b, "sheaf seed 1\n"...), level)
	b = binary.BigEndian.AppendUint64(b, seed)
	b = binary.BigEndian.AppendUint64(b, i)
	sum := Sum(b)
	return binary.BigEndian.Uint64(sum[:8])
}
