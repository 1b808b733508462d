package task_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

func limits() task.Limits {
	return task.Limits{Work: 1e9, Memory: 1 << 20, Output: 1 << 20, Wall: 60_000, Deadline: 600_000}
}

func rangeJob(from, to, step int64) task.JobSpec {
	return task.JobSpec{
		Name: "count", Program: task.Sum([]byte("program")), Meter: 1,
		Args:  []string{"{from}", "{to}", "no {{placeholder}}"},
		Split: task.Split{Kind: task.SplitRange, Range: task.Range{From: from, To: to, Step: step}},
		Check: task.Check{Replicate: 2, MaxAttempts: 8}, Limits: limits(),
	}
}

var someJob = task.NewJobID(task.Key{1}, 2, 3)

func TestRangeCoversEveryIntegerOnce(t *testing.T) {
	for _, c := range []struct {
		name           string
		from, to, step int64
		tasks          uint64
		first, last    string
	}{
		{"even", 0, 10, 5, 2, "0-5", "5-10"},
		{"last one is shorter", 0, 11, 5, 3, "0-5", "10-11"},
		{"negative", -7, 8, 4, 4, "-7--3", "5-8"},
		{"one", 3, 4, 100, 1, "3-4", "3-4"},
		{"a billion", 0, 1_000_000_000, 1, 1_000_000_000, "0-1", "999999999-1000000000"},
		{
			"whole width", math.MinInt64, math.MaxInt64, 1 << 62, 4,
			"-9223372036854775808--4611686018427387904", "4611686018427387904-9223372036854775807",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := rangeJob(c.from, c.to, c.step)
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
			if n := s.Count(0); n != c.tasks {
				t.Fatalf("%d tasks, want %d", n, c.tasks)
			}
			for i, want := range map[uint64]string{0: c.first, c.tasks - 1: c.last} {
				got, err := s.Task(someJob, 0, i, nil)
				if err != nil {
					t.Fatal(err)
				}
				if r := got.Args[0] + "-" + got.Args[1]; r != want {
					t.Errorf("task %d covers %s, want %s", i, r, want)
				}
				if got.Args[2] != "no {placeholder}" {
					t.Errorf("braces: %q", got.Args[2])
				}
			}
			if _, err := s.Task(someJob, 0, c.tasks, nil); err == nil {
				t.Error("a task beyond the last one was made")
			}
		})
	}
}

func gridJob() task.JobSpec {
	s := rangeJob(0, 1, 1)
	s.Args = []string{"--hidden={hidden}", "--rate", "{rate}", "{index}"}
	s.Split = task.Split{Kind: task.SplitGrid, Grid: []task.Axis{
		{Name: "hidden", Values: []string{"8", "16"}},
		{Name: "rate", Values: []string{"0.1", "0.2", "0.3"}},
	}}
	return s
}

func TestGridVariesTheLastFastest(t *testing.T) {
	s := gridJob()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range s.Count(0) {
		k, err := s.Task(someJob, 0, i, nil)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Join(k.Args, " "))
	}
	want := []string{
		"--hidden=8 --rate 0.1 0", "--hidden=8 --rate 0.2 1", "--hidden=8 --rate 0.3 2",
		"--hidden=16 --rate 0.1 3", "--hidden=16 --rate 0.2 4", "--hidden=16 --rate 0.3 5",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLinesTaskReadsItsRangeOnly(t *testing.T) {
	const tasks = task.LinesPerPage + 3
	s := rangeJob(0, 1, 1)
	s.Args = []string{"{index}"}
	var pages [2][]byte
	for i := range tasks {
		r := task.LineRange{Offset: uint64(10 * i), Length: 10, Digest: task.Sum([]byte{byte(i)})}
		pages[i/task.LinesPerPage] = task.AppendLineRange(pages[i/task.LinesPerPage], r)
	}
	s.Split = task.Split{Kind: task.SplitLines, Lines: task.Lines{
		Path: "data.txt", Blob: task.Sum([]byte("file")), Size: 10 * tasks, PerTask: 1, Tasks: tasks, Index: task.Sum([]byte("index")),
	}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, i := range []uint64{0, 7, task.LinesPerPage - 1, task.LinesPerPage, tasks - 1} {
		k, err := s.Task(someJob, 0, i, pages[s.PageOf(0, i)])
		if err != nil {
			t.Fatal(err)
		}
		want := task.InputRange{
			Path: "data.txt", Blob: s.Split.Lines.Blob, Offset: int64(10 * i), Length: 10, Digest: task.Sum([]byte{byte(i)}),
		}
		if len(k.Inputs) != 1 || k.Inputs[0] != want {
			t.Errorf("task %d reads %+v, want %+v", i, k.Inputs, want)
		}
	}
	for name, page := range map[string][]byte{
		"none": nil, "short": pages[0][1:], "of another group": pages[1],
		"outside of the file": task.AppendLineRange(pages[0][:len(pages[0])-48], task.LineRange{Offset: 10 * tasks, Length: 1}),
		"overflowing":         task.AppendLineRange(pages[0][:len(pages[0])-48], task.LineRange{Offset: math.MaxUint64, Length: 2}),
	} {
		if _, err := s.Task(someJob, 0, task.LinesPerPage-1, page); !errors.Is(err, task.ErrBadIndex) {
			t.Errorf("page %s: got %v, want ErrBadIndex", name, err)
		}
	}
}

// What a task may leave is bounded by what the reduction above can be told of.
func TestMaxOutputs(t *testing.T) {
	s := task.JobSpec{Split: task.Split{Kind: task.SplitRange, Range: task.Range{To: 5000, Step: 1}}}
	if got := s.MaxOutputs(0); got != task.MaxOutputFiles+2 {
		t.Errorf("without a reduction: %d", got)
	}
	for fan, want := range map[uint32]int{2: task.MaxOutputFiles + 2, 64: 256, 4096: 4} {
		s.Reduce = &task.Reduce{FanIn: fan}
		if got := s.MaxOutputs(0); got != want {
			t.Errorf("with a fan-in of %d: %d, want %d", fan, got, want)
		}
		if got := s.MaxOutputs(s.Levels() - 1); got != task.MaxOutputFiles+2 {
			t.Errorf("at the top, with a fan-in of %d: %d", fan, got)
		}
	}
}

func TestReductionIsATree(t *testing.T) {
	s := rangeJob(0, 100, 1)
	s.Reduce = &task.Reduce{Program: task.Sum([]byte("rank")), Meter: 1, FanIn: 8, Args: []string{"{level}/{index}"}, Limits: limits()}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := [...]uint64{s.Count(1), s.Count(2), s.Count(3), s.Count(4)}; got != [...]uint64{13, 2, 1, 0} {
		t.Errorf("levels of %v tasks", got)
	}
	if s.Levels() != 4 {
		t.Errorf("%d levels, want 4", s.Levels())
	}
	one := rangeJob(0, 1, 1)
	one.Reduce = s.Reduce
	if one.Count(1) != 1 || one.Levels() != 2 {
		t.Error("the reduction of a single output must have one task")
	}

	list := task.OutputList{{Name: "out/model", Size: 3, Digest: task.Sum([]byte("abc"))}, {Name: "stdout", Size: 1, Digest: task.Sum([]byte("x"))}}
	page := task.ReducePage{Inputs: []task.ReduceInput{{Index: 96, Outputs: list}, {Index: 99, Outputs: list[1:]}}}
	k, err := s.Task(someJob, 1, 12, page.Encode())
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, in := range k.Inputs {
		paths = append(paths, in.Path)
	}
	want := []string{"0000000096/out/model", "0000000096/stdout", "0000000099/stdout"}
	if !reflect.DeepEqual(paths, want) || k.Args[0] != "1/12" {
		t.Errorf("reads %q with %q, want %q", paths, k.Args, want)
	}
	if _, err := s.Task(someJob, 1, 11, page.Encode()); !errors.Is(err, task.ErrBadIndex) {
		t.Errorf("a page of another group: got %v, want ErrBadIndex", err)
	}
}

// A golden value: should it ever change, tasks of jobs already submitted
// would be refused by every client (T1).
func TestTaskSumIsFrozen(t *testing.T) {
	s := gridJob()
	s.Inputs = []task.Input{{Path: "digits.csv", Blob: task.Sum([]byte("digits")), Size: 6}}
	s.Seed = 42
	k, err := s.Task(someJob, 0, 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = "a8830c6fdfb8eabff0e9fa552eae134be540dcaeda0777c6688966d915524d79"
	if got := k.Sum().String(); got != want {
		t.Errorf("checksum %s, want %s", got, want)
	}
	k.Inputs[0].Pieces = task.Sum([]byte("pieces"))
	const second = "2138353bc637bf608ee178f3d790fb7c39f09fd8ee94f6b51ee5cab42d683910"
	if got := k.Sum().String(); got != second {
		t.Errorf("checksum with a list of pieces %s, want %s", got, second)
	}
}

func TestTaskSumCoversEverything(t *testing.T) {
	base := func() task.Task {
		return task.Task{
			Job: someJob, Level: 1, Index: 2, Program: task.Digest{3}, Meter: 4, Args: []string{"a", "b"}, Limits: limits(), Seed: 5,
			Inputs: []task.InputRange{{Path: "p", Blob: task.Digest{6}, Offset: 7, Length: 8, Digest: task.Digest{9}}},
		}
	}
	k := base()
	was := map[task.Digest]string{k.Sum(): "unchanged"}
	for name, change := range map[string]func(*task.Task){
		"job": func(k *task.Task) { k.Job[0]++ }, "level": func(k *task.Task) { k.Level++ }, "index": func(k *task.Task) { k.Index++ },
		"program": func(k *task.Task) { k.Program[0]++ }, "meter": func(k *task.Task) { k.Meter++ }, "seed": func(k *task.Task) { k.Seed++ },
		"argument": func(k *task.Task) { k.Args[1] = "c" }, "arguments' borders": func(k *task.Task) { k.Args = []string{"ab"} },
		"one argument more": func(k *task.Task) { k.Args = append(k.Args, "") },
		"path":              func(k *task.Task) { k.Inputs[0].Path = "q" }, "blob": func(k *task.Task) { k.Inputs[0].Blob[0]++ },
		"offset": func(k *task.Task) { k.Inputs[0].Offset++ }, "length": func(k *task.Task) { k.Inputs[0].Length++ },
		"range digest": func(k *task.Task) { k.Inputs[0].Digest[0]++ }, "no input": func(k *task.Task) { k.Inputs = nil },
		"pieces": func(k *task.Task) { k.Inputs[0].Pieces = task.Digest{1} }, "other pieces": func(k *task.Task) { k.Inputs[0].Pieces = task.Digest{2} },
		"work": func(k *task.Task) { k.Limits.Work++ }, "memory": func(k *task.Task) { k.Limits.Memory++ },
		"output": func(k *task.Task) { k.Limits.Output++ }, "wall": func(k *task.Task) { k.Limits.Wall++ },
		"deadline": func(k *task.Task) { k.Limits.Deadline++ },
	} {
		k := base()
		change(&k)
		if other, ok := was[k.Sum()]; ok {
			t.Errorf("%s has the checksum of %s", name, other)
		}
		was[k.Sum()] = name
	}
}

func TestValidateNamesTheField(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*task.JobSpec)
	}{
		{"no program", "program:", func(s *task.JobSpec) { s.Program = task.Digest{} }},
		{"empty range", "split.range:", func(s *task.JobSpec) { s.Split.Range.To = 0 }},
		{"step of nothing", "split.range.step:", func(s *task.JobSpec) { s.Split.Range.Step = 0 }},
		{"too many tasks", "use a larger step", func(s *task.JobSpec) { s.Split.Range.To = math.MaxInt64 }},
		{"no split", "split:", func(s *task.JobSpec) { s.Split.Kind = "" }},
		{"unknown placeholder", "{form} is not known; known here are {index}, {from}, {to}", func(s *task.JobSpec) { s.Args[0] = "{form}" }},
		{"open brace", "never closed", func(s *task.JobSpec) { s.Args[0] = "{from" }},
		{"replicate nothing", "check.replicate:", func(s *task.JobSpec) { s.Check.Replicate = 0 }},
		{"fewer attempts than replicas", "check.max_attempts:", func(s *task.JobSpec) { s.Check.MaxAttempts = 1 }},
		{"odd memory", "limits.memory:", func(s *task.JobSpec) { s.Limits.Memory = 1000 }},
		{"no work", "limits.work:", func(s *task.JobSpec) { s.Limits.Work = 0 }},
		{"path that climbs", "inputs[0]:", func(s *task.JobSpec) { s.Inputs = []task.Input{{Path: "../x", Blob: task.Digest{1}}} }},
		{"inputs in each other's way", "cannot stand beside", func(s *task.JobSpec) {
			s.Inputs = []task.Input{{Path: "a", Blob: task.Digest{1}}, {Path: "a/b", Blob: task.Digest{1}}}
		}},
		{"fan in of one", "reduce.fan_in:", func(s *task.JobSpec) { s.Reduce = &task.Reduce{Program: s.Program, FanIn: 1, Limits: limits()} }},
		{"empty grid", "split.grid:", func(s *task.JobSpec) { s.Split = task.Split{Kind: task.SplitGrid} }},
		{
			"arguments that explode", "bytes a task", func(s *task.JobSpec) {
				s.Split = task.Split{Kind: task.SplitGrid, Grid: []task.Axis{{Name: "a", Values: []string{strings.Repeat("x", 60_000)}}}}
				s.Args = []string{strings.Repeat("{a}", 1000)}
			},
		},
		{"control characters", "name:", func(s *task.JobSpec) { s.Name = "a\x1b[2J" }},
		{"empty file", "is empty", func(s *task.JobSpec) {
			s.Args = nil
			s.Split = task.Split{Kind: task.SplitLines, Lines: task.Lines{Path: "x", PerTask: 1}}
		}},
	} {
		s := rangeJob(0, 10, 1)
		c.change(&s)
		err := s.Validate()
		if !errors.Is(err, task.ErrBadJob) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want ErrBadJob with %q", c.name, err, c.want)
		}
	}
}
