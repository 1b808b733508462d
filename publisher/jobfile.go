package publisher

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sheafgrid/sheaf/task"
)

// MaxJobFile is the most bytes that a job file may have.
const MaxJobFile = 1 << 20

// JobFileName is the job file that Load takes when it is given a folder.
const JobFileName = "job.yaml"

// JobFile is one job as its author describes it. Load has checked all of it
// but the files that it names.
type JobFile struct {
	Path    string // of the file itself, as it was given
	Dir     string // absolute: where paths in the file begin
	Name    string // for people
	Project string
	App     string
	Program string // path as written, as are all paths of files here
	Args    []string
	Inputs  []InputFile
	Split   SplitFile
	Check   task.Check
	Limits  task.Limits
	Seed    uint64
	Reduce  *ReduceFile // nil without a reduction
	Collect task.Collect

	lines map[string]int
}

// InputFile is a file that every task finds at /in/Path.
type InputFile struct {
	Path string
	File string
}

// SplitFile says how the job becomes tasks. Only the field that Kind names
// counts.
type SplitFile struct {
	Kind  task.SplitKind
	Range task.Range
	Grid  []task.Axis
	Lines LinesFile
}

// LinesFile is a file of which every task gets PerTask lines, at /in/Path.
type LinesFile struct {
	Path    string
	File    string
	PerTask uint32
}

// ReduceFile is the second program, which is run as a tree over the outputs.
type ReduceFile struct {
	Program string
	App     string
	Args    []string
	FanIn   uint32
	Limits  task.Limits
}

// Load reads the job file at path, or job.yaml in the folder at path. Its
// error about what the file says is a *JobFileError with all mistakes found;
// the files that it names are looked at by Plan.
func Load(path string) (*JobFile, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		path = filepath.Join(path, JobFileName)
		info, err = os.Stat(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: there is no file %s; write one that begins like this:\n%s", ErrJobFile, path, exampleJob)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrJobFile, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is no ordinary file", ErrJobFile, path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJobFile, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJobFile, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxJobFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJobFile, err)
	}
	return parseJobFile(b, path, filepath.Dir(absolute))
}

// parseJobFile reads a job file's bytes; dir is the folder that it lies in.
func parseJobFile(b []byte, path, dir string) (*JobFile, error) {
	r := &yamlReader{lines: map[string]int{}}
	f := &JobFile{Path: path, Dir: dir, lines: r.lines}
	if len(b) > MaxJobFile {
		r.fail(0, "the file has more than %d bytes", MaxJobFile)
		r.noJobFile()
	} else if n := r.document(b); n != nil && n.Kind == yaml.MappingNode {
		f.read(r, n)
	} else if ext := filepath.Ext(path); n != nil || ext != ".yaml" && ext != ".yml" {
		if n != nil {
			r.fail(n.Line, "found %s, want keys with values", found(n))
		}
		r.noJobFile()
	}
	if len(r.mistakes) == 0 {
		if err := f.validate(); err != nil {
			r.mistakes = append(r.mistakes, f.mistake(err))
		}
	}
	if len(r.mistakes) > 0 {
		sortMistakes(r.mistakes)
		return nil, &JobFileError{Path: path, Mistakes: r.mistakes}
	}
	return f, nil
}

const exampleJob = `  project: my-project
  program: my-program.wasm
  args: ["{from}", "{to}"]
  split:
    range: {from: 0, to: 1000000, step: 10000}`

func (f *JobFile) read(r *yamlReader, n *yaml.Node) {
	k := r.keys("", n, "\n"+exampleJob, "name", "project", "app", "program", "args", "inputs", "split", "check", "limits",
		"seed", "reduce", "collect")
	f.Name = r.text("name", k["name"], "digits")
	if k["name"] == nil {
		f.Name = nameOf(f.Path, f.Dir)
	}
	f.Project = r.handle("project", k["project"])
	if k["project"] == nil {
		r.fail(0, "it does not say which project the job belongs to; add a line such as\n  project: my-project")
	}
	f.Program = r.file("program", k["program"], "train.wasm")
	if k["program"] == nil {
		r.fail(0, "it does not say what to run; add a line such as\n  program: train.wasm")
	}
	f.App = r.handle("app", k["app"])
	if k["app"] == nil && f.Program != "" {
		if f.App = appName(f.Program); f.App == "" {
			r.fail(r.lines["program"], "program: %q makes no name for the app; add a line such as\n  app: train", clip(f.Program))
		}
	}
	f.Args = r.texts("args", k["args"], `["{index}", "--fast"]`)
	f.Inputs = r.inputs(k["inputs"])
	f.Split = r.split(k["split"])
	f.Check = r.check(k["check"])
	f.Limits = r.limits("limits", k["limits"], defaultLimits())
	f.Seed = r.unsigned("seed", k["seed"], 0, 1<<64-1, "1")
	if k["reduce"] != nil {
		f.Reduce = r.reduce(k["reduce"], f)
	}
	f.Collect = r.collect(k["collect"])
}

// noJobFile says of a file that is something else what a job file is; most
// often somebody has given the data of a job in its place.
func (r *yamlReader) noJobFile() {
	m := &r.mistakes[0]
	m.Text = "this is no job file: " + m.Text + ". A job file names your data, as an input or to be split by lines, and begins like this:\n" + exampleJob
	r.mistakes = r.mistakes[:1]
}

// nameOf is the name of a job that gives itself none: its folder's where the
// file has the usual name, otherwise the file's, since two of them may share a
// folder.
func nameOf(path, dir string) string {
	base := filepath.Base(path)
	if base == JobFileName {
		return filepath.Base(dir)
	}
	if name := strings.TrimSuffix(base, filepath.Ext(base)); name != "" {
		return name
	}
	return base
}

// handle is a name that is unique in a cluster; a nil node has none.
func (r *yamlReader) handle(path string, n *yaml.Node) string {
	s := r.text(path, n, "my-"+path)
	if n != nil && s != "" {
		if err := task.CheckHandle(s); err != nil {
			r.fail(n.Line, "%s: %v", path, err)
		}
	} else if n != nil && n.Kind == yaml.ScalarNode && n.Style != 0 {
		r.fail(n.Line, "%s: it is empty", path)
	}
	return s
}

// file is the path of a file on this machine.
func (r *yamlReader) file(path string, n *yaml.Node, example string) string {
	s := r.text(path, n, example)
	if n != nil && n.Kind == yaml.ScalarNode && (n.Style != 0 && s == "" || strings.ContainsRune(s, 0)) {
		r.fail(n.Line, "%s: %q is no path of a file, want one such as %s", path, clip(s), example)
	}
	return s
}

// appName makes a handle of a program's file name, or "" where nothing is left.
func appName(program string) string {
	base := strings.ToLower(filepath.Base(filepath.ToSlash(program)))
	base = strings.TrimSuffix(base, ".wasm")
	parts := strings.FieldsFunc(base, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
	name := strings.Join(parts, "-")
	if len(name) > task.MaxHandleBytes {
		name = strings.TrimRight(name[:task.MaxHandleBytes], "-")
	}
	return name
}

func (r *yamlReader) collect(n *yaml.Node) task.Collect {
	c := task.Collect(r.text("collect", n, "files"))
	switch {
	case n == nil:
		return task.CollectFiles
	case n.Kind == yaml.ScalarNode && c != task.CollectFiles && c != task.CollectConcat:
		r.fail(n.Line, "collect: found %s, want files (a folder for each task) or concat (all standard outputs in one file)", found(n))
	}
	return c
}
