package publisher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/wasm"
)

// Plan is a submission before anything was sent: first the blobs are uploaded,
// then the versions are signed and published, then the specification is
// submitted.
type Plan struct {
	Project  string
	Spec     task.JobSpec // valid
	Versions []Version
	Blobs    []Blob // none twice; what volunteers and everybody else may read
}

// Version is a build of an app that must be published before the job is
// submitted (protocol.Publish).
type Version struct {
	App     string
	Program task.Digest
	Meter   uint16
}

// maxTaskInputs is how much the inputs of one task may have together, in bytes:
// a volunteer's sandbox holds them in memory.
const maxTaskInputs = int64(2) << 30

// Plan reads the files that the job names. Programs are stripped, and checked
// as volunteers check them; large files are read once and never kept. Its
// errors about the files are *JobFileError and name the path that was looked
// for.
func (f *JobFile) Plan(ctx context.Context) (*Plan, error) {
	p := &Plan{Project: f.Project, Spec: f.spec()}
	if err := f.planPrograms(p); err != nil {
		return nil, err
	}
	if err := f.planInputs(ctx, p); err != nil {
		return nil, err
	}
	if f.Split.Kind == task.SplitLines {
		if err := f.planLines(ctx, p); err != nil {
			return nil, err
		}
	}
	if err := p.Spec.Validate(); err != nil {
		return nil, &JobFileError{Path: f.Path, Mistakes: []Mistake{f.mistake(err)}}
	}
	if n := len(protocol.EncodeSpec(&p.Spec)); n > protocol.MaxSpec {
		return nil, fmt.Errorf("%w: %s: the specification has %d bytes, at most %d are allowed; put long lists into a file and split by lines",
			ErrJobFile, f.Path, n, protocol.MaxSpec)
	}
	return p, nil
}

// add keeps a blob unless its bytes are there already.
func (p *Plan) add(blobs ...Blob) {
	for _, b := range blobs {
		known := false
		for i := range p.Blobs {
			known = known || p.Blobs[i].Digest == b.Digest
		}
		if !known {
			p.Blobs = append(p.Blobs, b)
		}
	}
}

func (f *JobFile) planPrograms(p *Plan) error {
	program, err := f.program("program", f.Program, f.Limits)
	if err != nil {
		return err
	}
	p.add(program)
	p.Spec.Program, p.Spec.Meter = program.Digest, wasm.CurrentMeter
	p.Versions = []Version{{App: f.App, Program: program.Digest, Meter: wasm.CurrentMeter}}
	if f.Reduce == nil {
		return nil
	}
	reduce, err := f.program("reduce.program", f.Reduce.Program, f.Reduce.Limits)
	if err != nil {
		return err
	}
	p.add(reduce)
	p.Spec.Reduce.Program, p.Spec.Reduce.Meter = reduce.Digest, wasm.CurrentMeter
	if reduce.Digest != program.Digest {
		p.Versions = append(p.Versions, Version{App: f.Reduce.App, Program: reduce.Digest, Meter: wasm.CurrentMeter})
	}
	return nil
}

// program is a program as it is signed and shipped.
func (f *JobFile) program(key, name string, limits task.Limits) (Blob, error) {
	path := f.local(name)
	b, err := LoadProgram(path, limits.Memory)
	switch {
	case errors.Is(err, ErrProgram):
		return Blob{}, f.fail(key, "%q %w", clip(name), err)
	case err != nil:
		return Blob{}, f.fileError(key, name, err)
	}
	return memoryBlob("program "+name, path, b), nil
}

func (f *JobFile) planInputs(ctx context.Context, p *Plan) error {
	left := maxTaskInputs
	if f.Split.Kind == task.SplitLines {
		left -= MaxLineRange
	}
	for i, in := range f.Inputs {
		key := fmt.Sprintf("inputs[%d]", i)
		blob, pieces, err := fileBlob(ctx, "input "+in.File, f.local(in.File), left)
		if err != nil {
			return f.fileError(key, in.File, err)
		}
		left -= blob.Size
		p.add(blob)
		input := task.Input{Path: in.Path, Blob: blob.Digest, Size: blob.Size}
		if blob.Size >= task.PiecesFrom {
			list := memoryBlob("list of the pieces of "+in.File, "", pieces)
			p.add(list)
			input.Pieces = list.Digest
		}
		p.Spec.Inputs = append(p.Spec.Inputs, input)
	}
	return nil
}

func (f *JobFile) planLines(ctx context.Context, p *Plan) error {
	l := f.Split.Lines
	x, blobs, err := lineBlobs(ctx, l.File, f.local(l.File), l.PerTask)
	if err != nil {
		return f.fileError("split.lines.file", l.File, err)
	}
	p.Blobs = append(p.Blobs, blobs[1:]...) // pages differ from one another: each names its offsets
	p.add(blobs[0])
	p.Spec.Split = x.Split(l.Path)
	return nil
}

// local is where a file that the job names lies.
func (f *JobFile) local(name string) string {
	name = filepath.FromSlash(name)
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.Dir, name)
}

// fileError says of a file that cannot be read where it was looked for.
func (f *JobFile) fileError(key, name string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	path := f.local(name)
	if errors.Is(err, fs.ErrNotExist) {
		if filepath.IsAbs(filepath.FromSlash(name)) {
			return f.fail(key, "there is no file %s (%w)", path, fs.ErrNotExist)
		}
		return f.fail(key, "there is no file %s; paths begin at the job file's folder, so %q is looked for there (%w)", path, clip(name), fs.ErrNotExist)
	}
	return f.fail(key, "%q (%s) cannot be used: %w", clip(name), path, err)
}
