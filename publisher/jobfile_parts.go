package publisher

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sheafgrid/sheaf/task"
)

// What a job file that does not say otherwise means.
const (
	defaultReplicate   = 2
	defaultMaxAttempts = 16
	defaultFanIn       = 16
)

func defaultLimits() task.Limits {
	const minute = task.Millis(60_000)
	return task.Limits{Work: 1e12, Memory: 256 << 20, Output: 16 << 20, Wall: 60 * minute, Deadline: 120 * minute}
}

// inputs takes each input as a path, which is also its name under /in, or as a
// mapping of both.
func (r *yamlReader) inputs(n *yaml.Node) []InputFile {
	const example = "[digits.csv, {path: more.csv, file: ../data/more.csv}]"
	var out []InputFile
	for i, c := range r.list("inputs", n, example) {
		at := fmt.Sprintf("inputs[%d]", i)
		if c.Kind == yaml.MappingNode {
			k := r.keys(at, c, "{path: more.csv, file: ../data/more.csv}", "path", "file")
			in := InputFile{Path: r.text(at+".path", k["path"], "more.csv"), File: r.file(at+".file", k["file"], "../data/more.csv")}
			if k["file"] == nil {
				r.fail(c.Line, "%s: the file is missing; write {path: name-under-in, file: local/path}", at)
			} else if k["path"] == nil {
				in.Path = r.inPath(at, c.Line, in.File)
			}
			out = append(out, in)
			continue
		}
		file := r.file(at, c, "digits.csv")
		out = append(out, InputFile{Path: r.inPath(at, c.Line, file), File: file})
	}
	return out
}

// inPath is the name under /in of a file for which none is given: its path, if
// that leads nowhere but down.
func (r *yamlReader) inPath(at string, line int, file string) string {
	if file == "" {
		return ""
	}
	p := path.Clean(filepath.ToSlash(file))
	if err := task.CheckPath(p); err != nil {
		r.fail(line, "%s: %q cannot be the name that tasks find it by under /in; give one, as in {path: %s, file: %s}",
			at, clip(file), path.Base(p), clip(file))
	}
	return p
}

const exampleSplit = "range: {from: 0, to: 1000000, step: 10000}"

func (r *yamlReader) split(n *yaml.Node) SplitFile {
	if n == nil {
		r.fail(0, "it does not say how the job becomes tasks; add one of\n  split:\n    %s\n    %s\n    %s",
			exampleSplit, "grid: {rate: [0.02, 0.05], seed: [1, 2, 3]}", "lines: {file: data.txt, per_task: 100}")
		return SplitFile{}
	}
	k := r.keys("split", n, exampleSplit, "range", "grid", "lines")
	if n.Kind != yaml.MappingNode {
		return SplitFile{}
	}
	if len(k) != 1 {
		r.fail(n.Line, "split: want exactly one of range, grid and lines, such as %s", exampleSplit)
		return SplitFile{}
	}
	switch {
	case k["range"] != nil:
		return SplitFile{Kind: task.SplitRange, Range: r.integers(k["range"])}
	case k["grid"] != nil:
		return SplitFile{Kind: task.SplitGrid, Grid: r.grid(k["grid"])}
	}
	return SplitFile{Kind: task.SplitLines, Lines: r.lineFile(k["lines"])}
}

func (r *yamlReader) integers(n *yaml.Node) task.Range {
	const example = "{from: 0, to: 1000000, step: 10000}"
	k := r.keys("split.range", n, example, "from", "to", "step")
	for _, must := range []string{"to", "step"} {
		if n.Kind == yaml.MappingNode && k[must] == nil {
			r.fail(n.Line, "split.range: %s is missing; want %s, where to is not part of the range", must, example)
		}
	}
	return task.Range{
		From: r.signed("split.range.from", k["from"], 0, "0"),
		To:   r.signed("split.range.to", k["to"], 1, "1000000"),
		Step: r.signed("split.range.step", k["step"], 1, "10000"),
	}
}

func (r *yamlReader) grid(n *yaml.Node) []task.Axis {
	var axes []task.Axis
	for _, f := range r.fields("split.grid", n, "{rate: [0.02, 0.05], seed: [1, 2, 3]}") {
		at := join("split.grid", f.name)
		axes = append(axes, task.Axis{Name: f.name, Values: r.texts(at, f.value, "[0.02, 0.05]")})
	}
	return axes
}

func (r *yamlReader) lineFile(n *yaml.Node) LinesFile {
	const example = "{file: data.txt, per_task: 100}"
	k := r.keys("split.lines", n, example, "file", "per_task", "path")
	if n.Kind != yaml.MappingNode {
		return LinesFile{}
	}
	for _, must := range []string{"file", "per_task"} {
		if k[must] == nil {
			r.fail(n.Line, "split.lines: %s is missing; want %s", must, example)
		}
	}
	l := LinesFile{
		File:    r.file("split.lines.file", k["file"], "data.txt"),
		Path:    r.text("split.lines.path", k["path"], "data.txt"),
		PerTask: uint32(r.unsigned("split.lines.per_task", k["per_task"], 1, 1<<32-1, "100")),
	}
	if k["path"] == nil {
		l.Path = r.inPath("split.lines", n.Line, l.File)
	}
	return l
}

func (r *yamlReader) check(n *yaml.Node) task.Check {
	k := r.keys("check", n, "{replicate: 2, max_attempts: 16}", "replicate", "max_attempts")
	return task.Check{
		Replicate:   uint8(r.unsigned("check.replicate", k["replicate"], defaultReplicate, task.MaxReplicate, "2")),
		MaxAttempts: uint8(r.unsigned("check.max_attempts", k["max_attempts"], defaultMaxAttempts, task.MaxAttempts, "16")),
	}
}

// limits are read over a base that holds for what is not said.
func (r *yamlReader) limits(at string, n *yaml.Node, base task.Limits) task.Limits {
	k := r.keys(at, n, "{work: 20G, memory: 64MiB, wall: 10m}", "work", "memory", "output", "wall", "deadline")
	l := task.Limits{
		Work:     r.amount(at+".work", k["work"], ParseWork, base.Work, "a count of instructions, such as 20G"),
		Memory:   r.amount(at+".memory", k["memory"], ParseMemory, base.Memory, "a size, such as 64MiB"),
		Output:   r.amount(at+".output", k["output"], ParseBytes, base.Output, "a size, such as 1MiB"),
		Wall:     r.duration(at+".wall", k["wall"], base.Wall),
		Deadline: r.duration(at+".deadline", k["deadline"], base.Deadline),
	}
	if n != nil && l.Deadline < l.Wall {
		r.fail(n.Line, "%s: the deadline (%s) is shorter than the time that an attempt may run, wall (%s), so slow machines would "+
			"compute for nothing; set deadline to more than wall", at, showDuration(l.Deadline), showDuration(l.Wall))
	}
	return l
}

func (r *yamlReader) reduce(n *yaml.Node, f *JobFile) *ReduceFile {
	k := r.keys("reduce", n, "{program: sum.wasm, fan_in: 16}", "program", "args", "fan_in", "limits")
	if n.Kind != yaml.MappingNode {
		return nil
	}
	if k["program"] == nil {
		r.fail(n.Line, "reduce: the program is missing; want one such as {program: sum.wasm, fan_in: 16}")
	}
	d := &ReduceFile{
		Program: r.file("reduce.program", k["program"], "sum.wasm"),
		Args:    r.texts("reduce.args", k["args"], `["{level}", "{index}"]`),
		FanIn:   uint32(r.unsigned("reduce.fan_in", k["fan_in"], defaultFanIn, task.MaxFanIn, "16")),
		Limits:  r.limits("reduce.limits", k["limits"], f.Limits),
	}
	// Two different programs under one name would look like two versions of one.
	if d.App = appName(d.Program); d.App == "" || d.App == f.App && path.Clean(d.Program) != path.Clean(f.Program) {
		d.App = f.App[:min(len(f.App), task.MaxHandleBytes-len("-reduce"))]
		d.App = strings.TrimRight(d.App, "-") + "-reduce"
	}
	return d
}

// showDuration is a time as a job file spells it.
func showDuration(d task.Millis) string {
	for _, u := range []struct {
		name   string
		millis task.Millis
	}{{"d", 86_400_000}, {"h", 3_600_000}, {"m", 60_000}, {"s", 1000}} {
		if d >= u.millis && d%u.millis == 0 {
			return fmt.Sprintf("%d%s", d/u.millis, u.name)
		}
	}
	return fmt.Sprintf("%dms", d)
}
