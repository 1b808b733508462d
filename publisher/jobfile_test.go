package publisher_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

const smallJob = `project: examples
program: train.wasm
split:
  range: {from: 0, to: 100, step: 10}
`

func parse(t *testing.T, text string) *publisher.JobFile {
	t.Helper()
	f, err := publisher.ParseJobFile([]byte(text), "job.yaml", "/home/me/digits")
	if err != nil {
		t.Fatalf("job file is refused: %v\n%s", err, text)
	}
	return f
}

func TestJobFileFillsInDefaults(t *testing.T) {
	f := parse(t, smallJob)
	const minute = task.Millis(60_000)
	if f.Name != "digits" || f.App != "train" || f.Project != "examples" || f.Seed != 0 || f.Collect != task.CollectFiles || f.Reduce != nil {
		t.Errorf("got %+v, want the folder's name, the program's app, seed 0 and files", f)
	}
	if want := (task.Check{Replicate: 2, MaxAttempts: 16}); f.Check != want {
		t.Errorf("check: got %+v, want %+v", f.Check, want)
	}
	if want := (task.Limits{Work: 1e12, Memory: 256 << 20, Output: 16 << 20, Wall: 60 * minute, Deadline: 120 * minute}); f.Limits != want {
		t.Errorf("limits: got %+v, want %+v", f.Limits, want)
	}
}

func TestJobFileReadsEverything(t *testing.T) {
	f := parse(t, `
name: my digits
project: examples
app: trainer
program: bin/train.wasm
args: ["{hidden}", 0.10, -v, yes, 2026-11-22]
inputs:
  - ./digits.csv
  - {path: more.csv, file: ../data/more.csv}
  - file: deep/er/x.bin
split:
  grid:
    rate: [0.10, 1e-3, 007]
    hidden: ["16", '32']
check: {replicate: 3, max_attempts: 20}
limits: {work: 20G, memory: 64MiB, output: 100KB, wall: 1h30m, deadline: 2d}
seed: 18446744073709551615
reduce:
  program: rank.wasm
  args: ["{level}", "{index}"]
  fan_in: 4
  limits: {memory: 1GiB}
collect: concat
`)
	if want := []string{"{hidden}", "0.10", "-v", "yes", "2026-11-22"}; !reflect.DeepEqual(f.Args, want) {
		t.Errorf("args: got %q, want %q", f.Args, want)
	}
	wantInputs := []publisher.InputFile{{"digits.csv", "./digits.csv"}, {"more.csv", "../data/more.csv"}, {"deep/er/x.bin", "deep/er/x.bin"}}
	if !reflect.DeepEqual(f.Inputs, wantInputs) {
		t.Errorf("inputs: got %+v, want %+v", f.Inputs, wantInputs)
	}
	wantGrid := []task.Axis{{Name: "rate", Values: []string{"0.10", "1e-3", "007"}}, {Name: "hidden", Values: []string{"16", "32"}}}
	if !reflect.DeepEqual(f.Split.Grid, wantGrid) {
		t.Errorf("grid: got %+v, want %+v in that order and spelling", f.Split.Grid, wantGrid)
	}
	limits := task.Limits{Work: 20e9, Memory: 64 << 20, Output: 100_000, Wall: 90 * 60_000, Deadline: 48 * 3600_000}
	if f.Limits != limits {
		t.Errorf("limits: got %+v, want %+v", f.Limits, limits)
	}
	limits.Memory = 1 << 30
	want := publisher.ReduceFile{Program: "rank.wasm", App: "rank", Args: []string{"{level}", "{index}"}, FanIn: 4, Limits: limits}
	if f.Reduce == nil || !reflect.DeepEqual(*f.Reduce, want) {
		t.Errorf("reduce: got %+v, want %+v", f.Reduce, want)
	}
	if f.Name != "my digits" || f.App != "trainer" || f.Seed != 1<<64-1 || f.Collect != task.CollectConcat || f.Check.Replicate != 3 {
		t.Errorf("got %+v", f)
	}
}

func TestRangeSpellings(t *testing.T) {
	for _, c := range []struct {
		text string
		want task.Range
	}{
		{"{to: 1e9, step: 1_000_000}", task.Range{To: 1e9, Step: 1e6}},
		{"{from: -5, to: 1.5e3, step: 1}", task.Range{From: -5, To: 1500, Step: 1}},
		{`{from: "0", to: "100", step: 7}`, task.Range{To: 100, Step: 7}},
		{"{from: -9223372036854775808, to: 9223372036854775807, step: 9e18}", task.Range{From: -1 << 63, To: 1<<63 - 1, Step: 9e18}},
	} {
		f := parse(t, "project: p\nprogram: a.wasm\nsplit: {range: "+c.text+"}\n")
		if f.Split.Range != c.want {
			t.Errorf("%s: got %+v, want %+v", c.text, f.Split.Range, c.want)
		}
	}
}

func TestJobFileMistakes(t *testing.T) {
	const split = "split:\n  range: {to: 10, step: 1}\n"
	const head = "project: p\nprogram: a.wasm\n"
	for _, c := range []struct {
		name, text string
		want       []string // each in the error
	}{
		{"empty", "", []string{"the file is empty", "program: my-program.wasm"}},
		{"only a comment", "# nothing\n", []string{"the file is empty"}},
		{"no YAML", "project: [\n", []string{"this is not YAML"}},
		{"tabs", "split:\n\trange: 1\n", []string{"job.yaml:2: ", "indent with spaces"}},
		{"a list", "- a\n", []string{"job.yaml:1: this is no job file: found a list, want keys with values"}},
		{"no project", "program: a.wasm\n" + split, []string{"which project", "project: my-project"}},
		{"no program", "project: p\n" + split, []string{"what to run", "program: train.wasm"}},
		{"no split", head, []string{"how the job becomes tasks", "grid:", "range:", "lines:"}},
		{"typo at the top", head + split + "chek: {}\n", []string{`job.yaml:5: "chek" is not known; did you mean "check"?`}},
		{"typo inside", head + split + "check:\n  replicas: 2\n", []string{`job.yaml:6: "check.replicas" is not known; did you mean "replicate"?`}},
		{"dash for underscore", head + split + "check: {max-attempts: 2}\n", []string{`did you mean "max_attempts"?`}},
		{"no idea", head + split + "colour: red\n", []string{`"colour" is not known; known here are name, project`}},
		{"twice", head + split + "seed: 1\nseed: 2\n", []string{`job.yaml:6: "seed" is given twice, first in line 5`}},
		{"twice in a grid", head + "split:\n  grid:\n    a: [1]\n    a: [2]\n", []string{`job.yaml:6: "split.grid.a" is given twice`}},
		{"wrong type", head + split + "check: {replicate: two}\n", []string{`job.yaml:5: check.replicate: found the text "two", want a whole number, such as 2`}},
		{"a list for a number", head + split + "seed: [1]\n", []string{"seed: found a list, want a whole number, such as 1"}},
		{"a fraction", head + "split:\n  range: {to: 10, step: 0.5}\n", []string{"split.range.step: found the number 0.5, want a whole number"}},
		{"octal", head + "split:\n  range: {to: 010, step: 1}\n", []string{"split.range.to: found the number 010"}},
		{"too large", head + "split:\n  range: {to: 1e19, step: 1}\n", []string{"split.range.to: 1e19 is out of range"}},
		{"nothing", head + split + "args:\n", []string{"job.yaml:5: args: found nothing, want a list, such as"}},
		{"nothing for a mapping", head + split + "limits:\n", []string{"limits: found nothing, want a mapping"}},
		{"text for a list", head + split + "args: -v\n", []string{`args: found the text "-v", want a list`}},
		{"one value in a grid", head + "split:\n  grid: {rate: 0.1}\n", []string{"split.grid.rate: found the number 0.1, want a list, such as [0.02, 0.05]"}},
		{"a hole in a grid", head + "split:\n  grid: {rate: [0.1, ]}\n  lines: {}\n", []string{"exactly one of"}},
		{"null in a grid", head + "split:\n  grid: {rate: [0.1, null]}\n", []string{"split.grid.rate[1]: found nothing, want text"}},
		{"two splits", head + "split:\n  range: {to: 1, step: 1}\n  grid: {a: [1]}\n", []string{"want exactly one of range, grid and lines"}},
		{"half a range", head + "split:\n  range: {from: 1}\n", []string{"to is missing", "step is missing"}},
		{"half of lines", head + "split:\n  lines: {file: a.txt}\n", []string{"per_task is missing; want {file: data.txt, per_task: 100}"}},
		{"an empty range", head + "split:\n  range: {to: 0, step: 1}\n", []string{"job.yaml:4: split.range: from 0 to 0 is empty"}},
		{"no unit of memory", head + split + "limits: {memory: 64M}\n", []string{"write 64MiB (powers of 1024) or 64MB"}},
		{"odd memory", head + split + "limits: {memory: 64MB}\n", []string{"64MB is 64000000 bytes", "pages of 64 KiB", "write 62528KiB"}},
		{"no unit of time", head + split + "limits: {wall: 600}\n", []string{"limits.wall: the number 600 cannot be read", "write 600s"}},
		{"unit of work", head + split + "limits: {work: 20X}\n", []string{`"X" is no unit of work; known are k, M, G, T`}},
		{"deadline", head + split + "limits: {wall: 3h}\n", []string{"the deadline (2h) is shorter", "wall (3h)"}},
		{"handle", "project: My Project\nprogram: a.wasm\n" + split, []string{`job.yaml:1: project: name "My Project": want 1 to 40 of a-z`}},
		{"app of no letters", "project: p\nprogram: ä.wasm\n" + split, []string{"makes no name for the app", "app: train"}},
		{"collect", head + split + "collect: concatenate\n", []string{"want files (a folder for each task) or concat"}},
		{"placeholder", head + split + "args: [\"{hidden}\"]\n", []string{"job.yaml:5: args[0]", "{hidden} is not known", "{from}, {to}"}},
		{"input upwards", head + split + "inputs: [../a.csv]\n", []string{"job.yaml:5: inputs[0]", "{path: a.csv, file: ../a.csv}"}},
		{"input without a file", head + split + "inputs: [{path: a}]\n", []string{"inputs[0]: the file is missing"}},
		{"input twice", head + split + "inputs: [a, ./a]\n", []string{`inputs[1]: the path "a" is used twice`}},
		{"input as a folder", head + split + "inputs: [a/b, a]\n", []string{`inputs[1]: the path "a" cannot stand beside "a/b"`}},
		{"alias", head + split + "args: &a [x]\ninputs: *a\n", []string{"&a: job files have no anchors", "*a: job files have no aliases"}},
		{"merge", head + split + "<<: {seed: 1}\n", []string{"a key must be plain text"}},
		{"tag", head + split + "seed: !!str 1\n", []string{"job files have no tags"}},
		{"two documents", smallJob + "---\n" + smallJob, []string{"a second document begins here"}},
		{"too much", "# " + strings.Repeat("x", publisher.MaxJobFile), []string{"the file has more than 1048576 bytes"}},
		{"control characters", head + split + "name: \"a\\u0007\"\n", []string{"job.yaml:5: name: at most 200 bytes of printable text"}},
		{"attempts", head + split + "check: {replicate: 5, max_attempts: 3}\n", []string{"job.yaml:5: check.max_attempts: 3, allowed are 5 (replicate) to 100"}},
		{"all at once", "projekt: p\nprogram: [a]\nseed: x\n" + split, []string{"job.yaml:1: ", "job.yaml:2: ", "job.yaml:3: ", "which project"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := publisher.ParseJobFile([]byte(c.text), "job.yaml", "/x")
			if !errors.Is(err, publisher.ErrJobFile) {
				t.Fatalf("got %v, want a refusal", err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got  %s\nwant %s in it", err, w)
				}
			}
		})
	}
}

func TestAliasBombIsRefusedAtOnce(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 60; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	_, err := publisher.ParseJobFile([]byte(b.String()), "job.yaml", "/x")
	if !errors.Is(err, publisher.ErrJobFile) || !strings.Contains(err.Error(), "no anchors") {
		t.Errorf("got %.300v, want a refusal of anchors", err)
	}
}

func TestLoadSaysWhereItLooked(t *testing.T) {
	dir := t.TempDir()
	if _, err := publisher.Load(dir); !errors.Is(err, publisher.ErrJobFile) || !strings.Contains(err.Error(), filepath.Join(dir, "job.yaml")) {
		t.Errorf("a folder without a job file: got %v, want the path that was looked for", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "job.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Load(dir); !errors.Is(err, publisher.ErrJobFile) || !strings.Contains(err.Error(), "no ordinary file") {
		t.Errorf("a folder named job.yaml: got %v", err)
	}
}

func TestQuantities(t *testing.T) {
	size := func(parse func(string) (uint64, error)) func(string) (string, error) {
		return func(s string) (string, error) {
			v, err := parse(s)
			return fmt.Sprint(v), err
		}
	}
	duration := func(s string) (string, error) {
		v, err := publisher.ParseDuration(s)
		return fmt.Sprint(v), err
	}
	for _, c := range []struct {
		what   string
		parse  func(string) (string, error)
		accept map[string]string
		refuse []string
	}{
		{
			"number", publisher.WholeNumber,
			map[string]string{"0": "0", "-0": "0", "+7": "7", "1e9": "1000000000", "1_000_000": "1000000", "1.50e1": "15", "100e-2": "1", "-3": "-3", "2.0": "2"},
			[]string{"", "-", ".", "1.", ".5", "1__0", "_1", "1_", "0x10", "1e", "1e99", "1e999999999999", "--1", "+-1", "1.5", "01", "1 0", "NaN", "1e+ 5", "١", strings.Repeat("1", 65)},
		},
		{
			"work", size(publisher.ParseWork),
			map[string]string{"1": "1", "20G": "20000000000", "1.5T": "1500000000000", "3k": "3000", "3K": "3000", "2 M": "2000000", "1e3M": "1000000000", "1P": "1000000000000000"},
			[]string{"", "G", "-1G", "20Gi", "20 giga", "1.0005k2", "99999999P", "1.0001k"},
		},
		{
			"bytes", size(publisher.ParseBytes),
			map[string]string{"0": "0", "64MiB": "67108864", "64MB": "64000000", "1.5GiB": "1610612736", "10 kB": "10000", "7B": "7", "7": "7", "1TiB": "1099511627776"},
			[]string{"", "64M", "64g", "64mib", "MiB", "-1B", "0.5B", "99999999999TiB"},
		},
		{
			"memory", size(publisher.ParseMemory),
			map[string]string{"64KiB": "65536", "4GiB": "4294967296"},
			[]string{"1MB", "63KiB", "65535"},
		},
		{
			"duration", duration,
			map[string]string{"10m": "600000", "1h30m": "5400000", "2d": "172800000", "1d12h": "129600000", "1.5h": "5400000", "250ms": "250", "0s": "0", "0.001s": "1"},
			[]string{"", "10", "m", "10 minutes", "1h30", "-5m", "0.0001s", "99999999999999999999d", "5x", "1M", "1e3m"},
		},
	} {
		for text, want := range c.accept {
			if got, err := c.parse(text); err != nil || got != want {
				t.Errorf("%s %q: got %s, %v, want %s", c.what, text, got, err, want)
			}
		}
		for _, text := range c.refuse {
			if got, err := c.parse(text); err == nil {
				t.Errorf("%s %q: got %s, want a refusal", c.what, text, got)
			}
		}
	}
}

func TestAppNames(t *testing.T) {
	for program, want := range map[string]string{
		"train.wasm": "train", "bin/My Program v2.WASM": "my-program-v2", "a": "a", "__x__.wasm": "x", "ä.wasm": "", "": "",
		strings.Repeat("ab-", 20) + ".wasm": strings.Repeat("ab-", 13) + "a",
	} {
		got := publisher.AppName(program)
		if got != want {
			t.Errorf("%q: got %q, want %q", program, got, want)
		}
		if got != "" && task.CheckHandle(got) != nil {
			t.Errorf("%q: %q is no handle", program, got)
		}
	}
}

func TestTwoProgramsOfOneNameAreTwoApps(t *testing.T) {
	f := parse(t, smallJob+"reduce: {program: other/train.wasm}\n")
	if f.App != "train" || f.Reduce.App != "train-reduce" {
		t.Errorf("got apps %q and %q, want train and train-reduce", f.App, f.Reduce.App)
	}
}

func FuzzJobFile(f *testing.F) {
	for _, dir := range []string{"digits", "means", "primes"} {
		b, err := os.ReadFile("../examples/" + dir + "/job.yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(smallJob + "inputs: [{path: a, file: b}]\ncollect: concat\n"))
	f.Add([]byte("project: p\nprogram: a.wasm\nsplit: {lines: {file: a.txt, per_task: 3}}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := publisher.ParseJobFile(b, "job.yaml", "/x")
		if err != nil && !errors.Is(err, publisher.ErrJobFile) {
			t.Errorf("error %v is no ErrJobFile", err)
		}
		if err == nil && (file.Project == "" || file.Program == "" || file.App == "") {
			t.Errorf("accepted without project, program or app: %+v", file)
		}
	})
}

// Two job files in one folder must not make two jobs of one name.
func TestJobFileNamesItsJob(t *testing.T) {
	for path, want := range map[string]string{
		"job.yaml": "digits", "/home/me/digits/job.yaml": "digits", "small.yaml": "small", "runs/large.job.yaml": "large.job", ".yaml": ".yaml",
	} {
		f, err := publisher.ParseJobFile([]byte(smallJob), path, "/home/me/digits")
		if err != nil {
			t.Fatal(err)
		}
		if f.Name != want {
			t.Errorf("%s: got the name %q, want %q", path, f.Name, want)
		}
	}
}

func TestDataIsNoJobFile(t *testing.T) {
	for name, text := range map[string]string{
		"long":  strings.Repeat("ACGTTGCA\n", publisher.MaxJobFile/8),
		"short": "ACGT\nTTTT\n",
		"fasta": ">seq a: b: c\nACGT\n\t@x\n",
	} {
		_, err := publisher.ParseJobFile([]byte(text), "seqs.txt", "/home/me")
		if err == nil || !strings.Contains(err.Error(), "this is no job file") || !strings.Contains(err.Error(), "project: my-project") {
			t.Errorf("%s: got %v, want that this is no job file, and how one looks", name, err)
		}
	}
}
