package examples_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sheafgrid/sheaf/examples"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// memoryPages is the largest memory limit in the job files: 64 MiB.
const memoryPages = 1024

// engine runs the committed programs on one of wazero's two engines.
type engine struct {
	runtime wazero.Runtime
	modules map[string]wazero.CompiledModule
}

func newEngine(t testing.TB, config wazero.RuntimeConfig) *engine {
	t.Helper()
	return newEngineWithin(t, config, memoryPages)
}

// newEngineWithin is newEngine with another limit on a program's memory, in
// pages of 64 KiB.
func newEngineWithin(t testing.TB, config wazero.RuntimeConfig, pages uint32) *engine {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(t.Context(), config.WithMemoryLimitPages(pages))
	t.Cleanup(func() {
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("closing the runtime: %v", err)
		}
	})
	if _, err := wasi_snapshot_preview1.Instantiate(t.Context(), r); err != nil {
		t.Fatalf("WASI: %v", err)
	}
	return &engine{runtime: r, modules: map[string]wazero.CompiledModule{}}
}

func (e *engine) module(t testing.TB, program string) wazero.CompiledModule {
	t.Helper()
	if m, ok := e.modules[program]; ok {
		return m
	}
	code, err := fs.ReadFile(examples.Files(), program)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.runtime.CompileModule(t.Context(), code)
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	e.modules[program] = m
	return m
}

// result is what one run of a program left behind.
type result struct {
	exit           uint32
	stdout, stderr string
	files          map[string]string // under /out
}

// run runs a program once, as a task does: inputs under /in, and an empty /out.
func (e *engine) run(t testing.TB, program string, in fs.FS, args ...string) result {
	t.Helper()
	out := t.TempDir()
	var stdout, stderr bytes.Buffer
	config := wazero.NewModuleConfig().WithName("").WithArgs(append([]string{"app"}, args...)...).
		WithStdout(&stdout).WithStderr(&stderr).
		WithFSConfig(wazero.NewFSConfig().WithFSMount(in, "/in").WithDirMount(out, "/out"))
	m, err := e.runtime.InstantiateModule(t.Context(), e.module(t, program), config)
	var exit *sys.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %q: stopped by the sandbox, want an exit: %v", program, args, err)
	}
	if m != nil {
		if err := m.Close(t.Context()); err != nil {
			t.Errorf("%s: %v", program, err)
		}
	}
	r := result{stdout: stdout.String(), stderr: stderr.String(), files: readDir(t, out)}
	if exit != nil {
		r.exit = exit.ExitCode()
	}
	return r
}

// mustRun is run for a program that has to succeed.
func (e *engine) mustRun(t testing.TB, program string, in fs.FS, args ...string) result {
	t.Helper()
	r := e.run(t, program, in, args...)
	if r.exit != 0 || r.stderr != "" {
		t.Fatalf("%s %q: got exit %d and %q, want exit 0 and silence", program, args, r.exit, r.stderr)
	}
	return r
}

func readDir(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}

// level lays results out as the inputs of a reduction, numbered from first.
func level(first int, results ...result) fs.FS {
	in := fstest.MapFS{}
	for i, r := range results {
		dir := fmt.Sprintf("%010d/", first+i)
		in[dir+"stdout"] = &fstest.MapFile{Data: []byte(r.stdout)}
		for name, content := range r.files {
			in[dir+"out/"+name] = &fstest.MapFile{Data: []byte(content)}
		}
	}
	return in
}

// complaint is a run that has to end with the program's own error.
type complaint struct {
	name    string
	program string
	in      fs.FS
	args    []string
	exit    uint32
	says    string // a part of standard error
}

func (c complaint) check(t *testing.T, e *engine) {
	t.Helper()
	r := e.run(t, c.program, c.in, c.args...)
	if r.exit != c.exit || !strings.Contains(r.stderr, c.says) || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("got exit %d and %q, want exit %d and one line with %q", r.exit, r.stderr, c.exit, c.says)
	}
	if r.stdout != "" || len(r.files) != 0 {
		t.Errorf("got standard output %q and %d files, want nothing", r.stdout, len(r.files))
	}
}

func TestJobFilesNameWhatIsThere(t *testing.T) {
	named := regexp.MustCompile(`(?m)^\s*(?:program: (\S+)|inputs: \[(\S+)\]|lines: \{file: (\S+),.*\})$`)
	for _, name := range examples.Names() {
		job, err := fs.ReadFile(examples.Files(), name+"/job.yaml")
		if err != nil {
			t.Fatal(err)
		}
		matches := named.FindAllStringSubmatch(string(job), -1)
		want := map[string]int{"digits": 3, "primes": 2, "means": 3}[name] // primes has no data
		if len(matches) != want {
			t.Errorf("%s/job.yaml: %d files named, want %d: a program, a reduction, data if there are any", name, len(matches), want)
		}
		for _, m := range matches {
			// A path begins at the job file, and may lead to another example's folder.
			if _, err := fs.Stat(examples.Files(), path.Join(name, m[1]+m[2]+m[3])); err != nil {
				t.Errorf("%s/job.yaml: %v", name, err)
			}
		}
	}
}

// TestReadmesNameWhatIsThere looks at the commands that people copy: each names
// its example as it lies in the repository.
func TestReadmesNameWhatIsThere(t *testing.T) {
	for _, name := range examples.Names() {
		readme, err := fs.ReadFile(examples.Files(), name+"/README.md")
		if err != nil {
			t.Fatal(err)
		}
		if want := "\n    sheaf job submit examples/" + name + " --server "; !strings.Contains(string(readme), want) {
			t.Errorf("%s/README.md: no line begins with %q", name, strings.TrimSpace(want))
		}
		for line := range strings.Lines(string(readme)) {
			if !strings.HasPrefix(line, "    sheaf ") {
				continue
			}
			for word := range strings.FieldsSeq(line) {
				file, is := strings.CutPrefix(word, "examples/")
				if _, err := fs.Stat(examples.Files(), file); is && err != nil {
					t.Errorf("%s/README.md: %s: %v", name, strings.TrimSpace(line), err)
				}
			}
		}
	}
}

func TestFilesCanBeCopiedOut(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, examples.Files()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if want := examples.Names(); !slices.Equal(got, want) {
		t.Errorf("folders are %q, want %q", got, want)
	}
}

// TestProgramsAskForLittle holds the programs to a small part of WASI and to a
// size that travels easily.
func TestProgramsAskForLittle(t *testing.T) {
	allowed := strings.Fields(`args_get args_sizes_get fd_close fd_fdstat_get fd_fdstat_set_flags fd_prestat_dir_name
		fd_prestat_get fd_read fd_readdir fd_seek fd_write path_open proc_exit`)
	e := newEngine(t, wazero.NewRuntimeConfigInterpreter())
	programs, err := fs.Glob(examples.Files(), "*/*.wasm")
	if err != nil || len(programs) != 2*len(examples.Names()) {
		t.Fatalf("programs are %q (%v), want two for each example", programs, err)
	}
	for _, p := range programs {
		for _, f := range e.module(t, p).ImportedFunctions() {
			if module, name, _ := f.Import(); module != "wasi_snapshot_preview1" || !slices.Contains(allowed, name) {
				t.Errorf("%s imports %s.%s, want one of %q", p, module, name, allowed)
			}
		}
		info, err := fs.Stat(examples.Files(), p)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := info.Size(), int64(100_000); got > want {
			t.Errorf("%s has %d bytes, want at most %d", p, got, want)
		}
	}
}
