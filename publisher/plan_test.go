package publisher_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
	"github.com/sheafgrid/sheaf/wasm"
)

// program is the smallest one that volunteers run: it does nothing.
var program = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x04\x01\x60\x00\x00" + // a type: () -> ()
	"\x03\x02\x01\x00" + // a function of it
	"\x05\x03\x01\x00\x01" + // a memory of one page
	"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x00" +
	"\x0a\x04\x01\x02\x00\x0b")

// withNote is a program with a custom section, as debug builds have.
func withNote(note string) []byte {
	section := append([]byte{4}, []byte("note"+note)...)
	return append(binary.AppendUvarint(append(bytes.Clone(program), 0), uint64(len(section))), section...)
}

// jobFolder makes a folder with files in it.
func jobFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func plan(dir string) (*publisher.Plan, error) {
	f, err := publisher.Load(dir)
	if err != nil {
		return nil, err
	}
	return f.Plan(context.Background())
}

func mustPlan(t *testing.T, dir string) *publisher.Plan {
	t.Helper()
	p, err := plan(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// checkBlobs opens every blob, twice, and compares it with its digest.
func checkBlobs(t *testing.T, p *publisher.Plan) map[task.Digest][]byte {
	t.Helper()
	all := map[task.Digest][]byte{}
	for i := range p.Blobs {
		b := &p.Blobs[i]
		if all[b.Digest] != nil {
			t.Errorf("%s is listed twice", b.What)
		}
		for range 2 {
			r, err := b.Open(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", b.What, err)
			}
			content, err := io.ReadAll(r)
			if err != nil || r.Close() != nil {
				t.Fatalf("%s: %v", b.What, err)
			}
			if task.Sum(content) != b.Digest || int64(len(content)) != b.Size {
				t.Errorf("%s: its %d bytes have digest %s, want %d and %s", b.What, len(content), task.Sum(content), b.Size, b.Digest)
			}
			all[b.Digest] = content
		}
	}
	return all
}

func TestExamplesPlan(t *testing.T) {
	for _, e := range []struct {
		dir, app, reduce string
		tasks            uint64
		blobs            int
	}{{"digits", "train", "rank", 72, 3}, {"primes", "count", "sum", 50, 2}} {
		t.Run(e.dir, func(t *testing.T) {
			p := mustPlan(t, filepath.Join("..", "examples", e.dir))
			if p.Project != "examples" || p.Spec.Name != e.dir || p.Spec.Count(0) != e.tasks || p.Spec.Levels() != 3 {
				t.Errorf("got project %q, job %q, %d tasks, %d levels, want examples, %q, %d, 3",
					p.Project, p.Spec.Name, p.Spec.Count(0), p.Spec.Levels(), e.dir, e.tasks)
			}
			want := []publisher.Version{
				{App: e.app, Program: p.Spec.Program, Meter: wasm.CurrentMeter},
				{App: e.reduce, Program: p.Spec.Reduce.Program, Meter: wasm.CurrentMeter},
			}
			if len(p.Versions) != 2 || p.Versions[0] != want[0] || p.Versions[1] != want[1] {
				t.Errorf("versions: got %v, want %v", p.Versions, want)
			}
			if blobs := checkBlobs(t, p); len(blobs) != e.blobs || blobs[p.Spec.Program] == nil || blobs[p.Spec.Reduce.Program] == nil {
				t.Errorf("got %d blobs, want %d, with both programs", len(blobs), e.blobs)
			}
			if _, err := protocol.DecodeSpec(protocol.EncodeSpec(&p.Spec)); err != nil {
				t.Errorf("a coordinator would refuse it: %v", err)
			}
		})
	}
}

func TestPlanShipsTheStrippedProgram(t *testing.T) {
	dir := jobFolder(t, map[string]string{
		"job.yaml": "project: p\nprogram: a.wasm\nsplit: {range: {to: 10, step: 1}}\nreduce: {program: b.wasm}\n",
		"a.wasm":   string(withNote("debug build of a")), "b.wasm": string(program),
	})
	p := mustPlan(t, dir)
	if p.Spec.Program != task.Sum(program) || p.Spec.Reduce.Program != p.Spec.Program {
		t.Errorf("got programs %s and %s, want twice the digest without custom sections, %s", p.Spec.Program, p.Spec.Reduce.Program, task.Sum(program))
	}
	if len(p.Versions) != 1 || len(checkBlobs(t, p)) != 1 {
		t.Errorf("got versions %v and %d blobs, want one of each: it is the same program", p.Versions, len(p.Blobs))
	}
}

func TestProgramMayBeLargeBeforeItIsStripped(t *testing.T) {
	dir := jobFolder(t, map[string]string{"a.wasm": string(withNote(strings.Repeat("x", 33<<20))), "b.wasm": "int main() {}"})
	b, err := publisher.LoadProgram(filepath.Join(dir, "a.wasm"), task.MaxMemory)
	if err != nil || !bytes.Equal(b, program) {
		t.Errorf("with 33 MiB of debug information: got %d bytes, %v; want the %d without", len(b), err, len(program))
	}
	if _, err := publisher.LoadProgram(filepath.Join(dir, "b.wasm"), task.MaxMemory); !errors.Is(err, publisher.ErrProgram) || !errors.Is(err, wasm.ErrNotWasm) {
		t.Errorf("no WebAssembly: got %v, want ErrProgram and ErrNotWasm", err)
	}
	if _, err := publisher.LoadProgram(filepath.Join(dir, "c.wasm"), task.MaxMemory); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v, want fs.ErrNotExist", err)
	}
}

func TestPlanLines(t *testing.T) {
	var text strings.Builder
	for i := range 2500 {
		fmt.Fprintf(&text, "line %d\r\n", i)
	}
	dir := jobFolder(t, map[string]string{
		"job.yaml":    "project: p\nprogram: a.wasm\ninputs: [d/a.txt, {path: b.txt, file: d/a.txt}]\nsplit: {lines: {file: d/lines.txt, per_task: 2}}\n",
		"a.wasm":      string(program),
		"d/a.txt":     "shared",
		"d/lines.txt": text.String(),
	})
	p := mustPlan(t, dir)
	l := &p.Spec.Split.Lines
	if l.Path != "d/lines.txt" || l.Tasks != 1250 || l.Size != int64(text.Len()) || l.PerTask != 2 {
		t.Fatalf("got %+v, want 1250 tasks of d/lines.txt", l)
	}
	blobs := checkBlobs(t, p)
	if len(blobs) != 6 {
		t.Errorf("got %d blobs, want 6: program, input, lines, two pages, the list", len(blobs))
	}
	err := publisher.CheckLineIndex(t.Context(), l, bytes.NewReader(blobs[l.Blob]), func(n uint64) ([]byte, error) {
		d, err := task.PageDigest(blobs[l.Index], n)
		return blobs[d], err
	})
	if err != nil {
		t.Errorf("a coordinator would refuse the index: %v", err)
	}
	if in := p.Spec.Inputs; len(in) != 2 || in[0].Path != "d/a.txt" || in[1].Path != "b.txt" || in[0].Blob != in[1].Blob {
		t.Errorf("inputs: got %+v", in)
	}
}

func TestPlanRefuses(t *testing.T) {
	const job = "project: p\nprogram: a.wasm\nsplit: {range: {to: 10, step: 1}}\n"
	needs := "\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x02\x0b\x01\x03env\x03foo\x00\x00" +
		"\x03\x02\x01\x00\x05\x03\x01\x00\x01\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x01\x0a\x04\x01\x02\x00\x0b"
	lines := "project: p\nprogram: a.wasm\nsplit: {lines: {file: l.txt, per_task: 1}}\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		is    error
		want  []string
	}{
		{"no program", map[string]string{"job.yaml": job}, fs.ErrNotExist, []string{"job.yaml:2: program: there is no file ", "a.wasm; paths begin at the job file's folder"}},
		{"a folder", map[string]string{"job.yaml": job, "a.wasm/x": ""}, nil, []string{"program: ", "it is a folder, want a file"}},
		{"not WebAssembly", map[string]string{"job.yaml": job, "a.wasm": "int main() {}"}, wasm.ErrNotWasm, []string{"job.yaml:2: program: \"a.wasm\" cannot be run by volunteers: not a WebAssembly core module"}},
		{"an import", map[string]string{"job.yaml": job, "a.wasm": needs}, wasm.ErrImport, []string{"job.yaml:2: program:", "foo"}},
		{"reduction", map[string]string{"job.yaml": job + "reduce:\n  program: b.wasm\n", "a.wasm": string(program), "b.wasm": "x"}, wasm.ErrNotWasm, []string{"job.yaml:5: reduce.program:"}},
		{"no input", map[string]string{"job.yaml": job + "inputs: [in/x.csv]\n", "a.wasm": string(program)}, fs.ErrNotExist, []string{"job.yaml:4: inputs[0]: there is no file ", filepath.Join("in", "x.csv")}},
		{"no absolute input", map[string]string{"job.yaml": job + "inputs: [{path: x, file: /no/such}]\n", "a.wasm": string(program)}, fs.ErrNotExist, []string{"inputs[0]: there is no file", "such"}},
		{"empty lines", map[string]string{"job.yaml": lines, "a.wasm": string(program), "l.txt": ""}, publisher.ErrLines, []string{"job.yaml:3: split.lines.file", "it is empty"}},
		{"UTF-16", map[string]string{"job.yaml": lines, "a.wasm": string(program), "l.txt": "\xff\xfea\x00\n\x00"}, publisher.ErrLines, []string{"UTF-16", "UTF-8"}},
		{"no lines", map[string]string{"job.yaml": lines, "a.wasm": string(program)}, fs.ErrNotExist, []string{"split.lines.file: there is no file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := plan(jobFolder(t, c.files))
			if !errors.Is(err, publisher.ErrJobFile) || c.is != nil && !errors.Is(err, c.is) {
				t.Fatalf("got %v, want ErrJobFile and %v", err, c.is)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got  %s\nwant %s in it", err, w)
				}
			}
		})
	}
}

func TestPlanRefusesInputsThatNoSandboxHolds(t *testing.T) {
	dir := jobFolder(t, map[string]string{
		"job.yaml": "project: p\nprogram: a.wasm\ninputs: [a, b]\nsplit: {range: {to: 10, step: 1}}\n", "a.wasm": string(program), "a": "a",
	})
	huge, err := os.Create(filepath.Join(dir, "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer huge.Close()
	if err := huge.Truncate(2 << 30); err != nil {
		t.Skipf("needs a file system with sparse files: %v", err)
	}
	if _, err := plan(dir); err == nil || !strings.Contains(err.Error(), "it has 2147483648 bytes, and all inputs") {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestChangedFilesAreNotUploaded(t *testing.T) {
	dir := jobFolder(t, map[string]string{
		"job.yaml": "project: p\nprogram: a.wasm\ninputs: [in.txt]\nsplit: {lines: {file: l.txt, per_task: 1}}\n",
		"a.wasm":   string(program), "in.txt": "input", "l.txt": "a\nb\nc\n",
	})
	p := mustPlan(t, dir)
	for name, content := range map[string]string{"in.txt": "Input", "l.txt": "a\nb\nd\n"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range p.Blobs {
		b := &p.Blobs[i]
		_, err := b.Open(t.Context())
		ofFile := !strings.HasPrefix(b.What, "program") && !strings.HasPrefix(b.What, "list")
		if errors.Is(err, publisher.ErrFileChanged) != ofFile {
			t.Errorf("%s: got %v, want ErrFileChanged: %t", b.What, err, ofFile)
		}
	}
}

// TestPagesNoticeAChangeThatTimesHide changes lines behind the back of the
// file's time and size.
func TestPagesNoticeAChangeThatTimesHide(t *testing.T) {
	dir := jobFolder(t, map[string]string{
		"job.yaml": "project: p\nprogram: a.wasm\nsplit: {lines: {file: l.txt, per_task: 1}}\n", "a.wasm": string(program), "l.txt": "a\nb\nc\n",
	})
	path := filepath.Join(dir, "l.txt")
	when := time.Unix(1e9, 0)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
	p := mustPlan(t, dir)
	if err := os.WriteFile(path, []byte("a\nb\nd\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
	for i := range p.Blobs {
		if b := &p.Blobs[i]; strings.HasPrefix(b.What, "page") {
			if _, err := b.Open(t.Context()); !errors.Is(err, publisher.ErrFileChanged) {
				t.Errorf("%s: got %v, want ErrFileChanged", b.What, err)
			}
		}
	}
}

func TestPlanEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, err := publisher.Load("../examples/digits")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Plan(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, publisher.ErrJobFile) {
		t.Errorf("got %v, want the context's end and no complaint about the file", err)
	}
}
