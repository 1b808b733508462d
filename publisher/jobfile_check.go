package publisher

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sheafgrid/sheaf/task"
)

// validate checks the whole job before any file is read, by the rules that
// coordinators apply, so that nobody waits for a terabyte to be hashed to hear
// of a misspelt argument.
func (f *JobFile) validate() error {
	spec := f.spec()
	stand := task.EmptyDigest // for every digest and size that only the files can tell
	spec.Program, spec.Meter = stand, 1
	for _, in := range f.Inputs {
		spec.Inputs = append(spec.Inputs, task.Input{Path: in.Path, Blob: stand, Size: 1})
	}
	spec.Split.Lines.Blob, spec.Split.Lines.Index, spec.Split.Lines.Size, spec.Split.Lines.Tasks = stand, stand, 1, 1
	if spec.Reduce != nil {
		spec.Reduce.Program = stand
	}
	return spec.Validate()
}

// spec is the specification without what comes from files.
func (f *JobFile) spec() task.JobSpec {
	s := task.JobSpec{
		Name: f.Name, Args: f.Args, Check: f.Check, Limits: f.Limits, Seed: f.Seed, Collect: f.Collect,
		Split: task.Split{Kind: f.Split.Kind, Range: f.Split.Range, Grid: f.Split.Grid},
	}
	if f.Split.Kind == task.SplitLines {
		s.Split.Lines = task.Lines{Path: f.Split.Lines.Path, PerTask: f.Split.Lines.PerTask}
	}
	if d := f.Reduce; d != nil {
		s.Reduce = &task.Reduce{Args: d.Args, FanIn: d.FanIn, Limits: d.Limits}
	}
	return s
}

// mistake is an error of task.JobSpec.Validate, or one like it, with the line
// that it is about.
func (f *JobFile) mistake(err error) Mistake {
	text := err.Error()
	if errors.Is(err, task.ErrBadJob) {
		text = strings.TrimPrefix(text, task.ErrBadJob.Error()+": ")
	}
	key := text
	if i := strings.IndexAny(key, `: "`); i >= 0 {
		key = key[:i]
	}
	return Mistake{Line: f.line(key), Text: text, err: err}
}

// line is where a key is, or else what it is part of; 0 where nothing of it is
// in the file.
func (f *JobFile) line(key string) int {
	for key != "" {
		if n := f.lines[key]; n > 0 {
			return n
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return 0
}

// fail is an error about one key of the file. A %w in the format makes
// errors.Is find what is behind it.
func (f *JobFile) fail(key, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	m := Mistake{Line: f.line(key), Text: key + ": " + err.Error(), err: err}
	return &JobFileError{Path: f.Path, Mistakes: []Mistake{m}}
}
