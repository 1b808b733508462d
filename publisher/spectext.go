package publisher

import "github.com/sheafgrid/sheaf/task"

// SpecText is a job's specification as the manifest shows it to people; the
// one that counts is spec.bin. Work is in counted instructions, sizes are in
// bytes. It has every field of task.JobSpec: a new one there stops the
// conversions below from compiling.
type SpecText struct {
	Name    string       `json:"name"`
	Program task.Digest  `json:"program"`
	Meter   uint16       `json:"meter"`
	Args    []string     `json:"args,omitempty"`
	Inputs  []InputText  `json:"inputs,omitempty"`
	Split   SplitText    `json:"split"`
	Check   CheckText    `json:"check"`
	Limits  LimitsText   `json:"limits"`
	Seed    uint64       `json:"seed"`
	Reduce  *ReduceText  `json:"reduce,omitempty"`
	Collect task.Collect `json:"collect,omitempty"`
}

// InputText is a task.Input.
type InputText struct {
	Path   string      `json:"path"`
	Blob   task.Digest `json:"blob"`
	Size   int64       `json:"size"`
	Pieces task.Digest `json:"pieces,omitzero"`
}

// SplitText is a task.Split: only what its kind needs is there.
type SplitText struct {
	Kind  task.SplitKind `json:"kind"`
	Range *RangeText     `json:"range,omitempty"`
	Grid  []AxisText     `json:"grid,omitempty"`
	Lines *LinesText     `json:"lines,omitempty"`
}

// RangeText is a task.Range.
type RangeText struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
	Step int64 `json:"step"`
}

// AxisText is a task.Axis.
type AxisText struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// LinesText is a task.Lines.
type LinesText struct {
	Path    string      `json:"path"`
	Blob    task.Digest `json:"blob"`
	Size    int64       `json:"size"`
	PerTask uint32      `json:"per_task"`
	Tasks   uint64      `json:"tasks"`
	Index   task.Digest `json:"index"`
}

// CheckText is a task.Check.
type CheckText struct {
	Replicate   uint8 `json:"replicate"`
	MaxAttempts uint8 `json:"max_attempts"`
}

// LimitsText is a task.Limits.
type LimitsText struct {
	Work     uint64      `json:"work"`
	Memory   uint64      `json:"memory"`
	Output   uint64      `json:"output"`
	Wall     task.Millis `json:"wall_ms"`
	Deadline task.Millis `json:"deadline_ms"`
}

// ReduceText is a task.Reduce.
type ReduceText struct {
	Program task.Digest `json:"program"`
	Meter   uint16      `json:"meter"`
	Args    []string    `json:"args,omitempty"`
	FanIn   uint32      `json:"fan_in"`
	Limits  LimitsText  `json:"limits"`
}

func newSpecText(s *task.JobSpec) SpecText {
	t := SpecText{
		Name: s.Name, Program: s.Program, Meter: s.Meter, Args: s.Args, Split: newSplitText(&s.Split),
		Check: CheckText(s.Check), Limits: LimitsText(s.Limits), Seed: s.Seed, Collect: s.Collect,
	}
	for _, in := range s.Inputs {
		t.Inputs = append(t.Inputs, InputText(in))
	}
	if r := s.Reduce; r != nil {
		t.Reduce = &ReduceText{Program: r.Program, Meter: r.Meter, Args: r.Args, FanIn: r.FanIn, Limits: LimitsText(r.Limits)}
	}
	return t
}

func newSplitText(s *task.Split) SplitText {
	t := SplitText{Kind: s.Kind}
	switch s.Kind {
	case task.SplitRange:
		r := RangeText(s.Range)
		t.Range = &r
	case task.SplitGrid:
		for _, a := range s.Grid {
			t.Grid = append(t.Grid, AxisText(a))
		}
	case task.SplitLines:
		l := LinesText(s.Lines)
		t.Lines = &l
	}
	return t
}
