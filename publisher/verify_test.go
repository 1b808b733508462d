package publisher_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

// names are the files of the report's problems.
func names(r *publisher.Report) []string {
	var n []string
	for _, p := range r.Problems {
		n = append(n, p.File)
	}
	return n
}

// TestEveryFlippedByteIsFound changes each byte of each file of a small folder:
// of one layout by its lowest bit, of the other so that capital letters become
// small ones.
func TestEveryFlippedByteIsFound(t *testing.T) {
	for collect, mask := range map[task.Collect]byte{task.CollectFiles: 0x01, task.CollectConcat: 0x20} {
		j := newFakeJob(t, 3, 3, collect)
		j.levels[0][1] = output{failed: true}
		j.levels[0][2].files = map[string]string{"stdout": "2", "stderr": "e"}
		dir := t.TempDir()
		mustFetch(t, j, dir, publisher.FetchOptions{})
		flipped := 0
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			name, _ := filepath.Rel(dir, path)
			good, err := os.ReadFile(path)
			for i := range good {
				bad := bytes.Clone(good)
				bad[i] ^= mask
				if err := os.WriteFile(path, bad, 0o644); err != nil {
					return err
				}
				flipped++
				r, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{})
				if !errors.Is(err, publisher.ErrNotVerified) || !slices.Contains(names(r), filepath.ToSlash(name)) {
					t.Errorf("%s: byte %d (%q) changed to %q: got %v, %+v", name, i, good[i], bad[i], err, r)
				}
			}
			return errors.Join(err, os.WriteFile(path, good, 0o644))
		})
		if err != nil {
			t.Fatal(err)
		}
		if flipped < 2500 {
			t.Errorf("%d bytes were changed, want some thousand", flipped)
		}
		mustVerify(t, dir, publisher.VerifyOptions{ResultRoot: j.root(0)})
	}
}

// What a test does to a folder.
func write(name, content string) func(dir string) error {
	return func(dir string) error {
		path := filepath.Join(dir, filepath.FromSlash(name))
		return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644))
	}
}

func remove(name string) func(dir string) error {
	return func(dir string) error { return os.RemoveAll(filepath.Join(dir, filepath.FromSlash(name))) }
}

func rename(from, to string) func(dir string) error {
	return func(dir string) error {
		return os.Rename(filepath.Join(dir, filepath.FromSlash(from)), filepath.Join(dir, filepath.FromSlash(to)))
	}
}

func link(target, name string) func(dir string) error {
	return func(dir string) error {
		path := filepath.Join(dir, filepath.FromSlash(name))
		return errors.Join(os.RemoveAll(path), os.Symlink(target, path))
	}
}

func cut(name string, size int64) func(dir string) error {
	return func(dir string) error { return os.Truncate(filepath.Join(dir, filepath.FromSlash(name)), size) }
}

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name    string
		collect task.Collect
		do      func(dir string) error
		want    []string // each the beginning of a problem; there are no others
	}{
		{"a missing output", "", remove("tasks/0000000002/stdout"), []string{"tasks/0000000002/stdout: it is missing"}},
		{"a missing task", "", remove("tasks/0000000002"), []string{"tasks/0000000002/out/data/m.bin: it is missing", "tasks/0000000002/stdout: it is missing"}},
		{"a missing empty file", "", remove("tasks/0000000000/out/data/m.bin"), []string{"tasks/0000000000/out/data/m.bin: it is missing"}},
		{"a missing reduction", "", remove("reduced"), []string{"reduced/out/data/m.bin: it is missing", "reduced/stdout: it is missing"}},
		{"a longer output", "", write("tasks/0000000001/stdout", "level 0 task 1\nx"), []string{"tasks/0000000001/stdout: it was altered: it has 16 bytes, the result says 15"}},
		{"another output", "", write("reduced/stdout", "level 1 task 1\n"), []string{"reduced/stdout: it was altered: its digest is"}},
		{"an extra file at the top", "", write("notes.txt", "x"), []string{"notes.txt: the file does not belong"}},
		{"an extra folder at the top", "", write("plots/a.png", "x"), []string{"plots: the folder does not belong"}},
		{"an extra file of a task", "", write("tasks/0000000001/out/data/x", "x"), []string{"tasks/0000000001/out/data/x: the file does not belong"}},
		{"an extra folder of a task", "", write("tasks/0000000001/out/more/x", "x"), []string{"tasks/0000000001/out/more: the folder does not belong"}},
		{"an extra file among tasks", "", write("tasks/readme", "x"), []string{"tasks/readme: the file does not belong"}},
		{"an extra task", "", write("tasks/0000000003/stdout", "x"), []string{"tasks/0000000003: the folder does not belong"}},
		{"a task's other number", "", write("tasks/2/stdout", "x"), []string{"tasks/2: the folder does not belong"}},
		{"an extra reduction", "", write("reduced/stderr", "x"), []string{"reduced/stderr: the file does not belong"}},
		{"a name that cannot be shown", "", write("a\x1b[2J", "x"), []string{`"a\x1b[2J": the file does not belong`}},
		{"another case", "", rename("tasks/0000000001/stdout", "tasks/0000000001/STDOUT"), []string{"tasks/0000000001/stdout: it is missing", "tasks/0000000001/STDOUT: the file does not belong"}},
		{"a folder for a file", "", func(dir string) error {
			return errors.Join(remove("tasks/0000000001/stdout")(dir), write("tasks/0000000001/stdout/x", "")(dir))
		}, []string{"tasks/0000000001/stdout: it is missing", "tasks/0000000001/stdout: the folder does not belong"}},
		{"a link to the right bytes", "", func(dir string) error {
			return errors.Join(rename("tasks/0000000001/stdout", "stdout")(dir), link("../../stdout", "tasks/0000000001/stdout")(dir))
		}, []string{"tasks/0000000001/stdout: it is a symbolic link", "tasks/0000000001/stdout: it is missing", "stdout: the file does not belong"}},
		{"a link to a folder", "", func(dir string) error {
			return errors.Join(rename("tasks/0000000001/out", "tasks/0000000001/away")(dir), link("away", "tasks/0000000001/out")(dir))
		}, []string{"tasks/0000000001/out: it is a symbolic link", "tasks/0000000001/out/data/m.bin: it is missing", "tasks/0000000001/away: the folder does not belong"}},
		{"all tasks behind a link", "", func(dir string) error {
			return errors.Join(rename("tasks", "away")(dir), link("away", "tasks")(dir))
		}, []string{"away: the folder does not belong", "tasks: it is a symbolic link, want a folder"}},
		{"no results", "", remove("results-0.ndjson"), []string{"results-0.ndjson: it is missing"}},
		{"results cut off", "", cut("results-1.ndjson", 100), []string{"results-1.ndjson: line 1: line cannot be read: the file ends", "results-1.ndjson: it was altered"}},
		{"no results in the file", "", cut("results-0.ndjson", 0), []string{
			"tasks: the folder", "results-0.ndjson: it was altered", "results-0.ndjson: it has 0 results", "results-0.ndjson: its results give the root none",
		}},
		{"no specification", "", remove("spec.bin"), []string{"spec.bin: it is missing"}},
		{"a specification too long", "", write("spec.bin", strings.Repeat("x", 200<<10)), []string{"spec.bin: it cannot be read"}},
		{"standard output cut off", task.CollectConcat, cut("stdout", 40), []string{"stdout: it ends before the standard output of task 2"}},
		{"a longer standard output", task.CollectConcat, write("stdout", "level 0 task 0\nlevel 0 task 1\nlevel 0 task 2\nx"), []string{"stdout: it has 46 bytes, the standard outputs of all tasks have 45"}},
		{"another standard output", task.CollectConcat, write("stdout", "level 0 task 0\nlevel X task 1\nlevel 0 task 2\n"), []string{"stdout: the standard output of task 1 was altered"}},
		{"no standard output", task.CollectConcat, remove("stdout"), []string{"stdout: it is missing"}},
		{"a standard output twice", task.CollectConcat, write("tasks/0000000001/stdout", "level 0 task 1\n"), []string{"tasks/0000000001/stdout: the file does not belong"}},
		{"what a fetch left", "", write(".parts/1", "x"), []string{".parts: the folder does not belong"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := newFakeJob(t, 3, 3, c.collect)
			dir := t.TempDir()
			mustFetch(t, j, dir, publisher.FetchOptions{})
			if err := c.do(dir); err != nil {
				t.Fatal(err)
			}
			r, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{})
			if !errors.Is(err, publisher.ErrNotVerified) {
				t.Fatalf("got %v, want ErrNotVerified", err)
			}
			for _, want := range c.want {
				if !slices.ContainsFunc(r.Problems, func(p publisher.Problem) bool { return strings.HasPrefix(p.String(), want) }) {
					t.Errorf("no problem begins with %q", want)
				}
			}
			if len(r.Problems) != len(c.want) || t.Failed() {
				t.Errorf("got  %v\nwant %q", r.Problems, c.want)
			}
		})
	}
}

func TestVerifyComparesRootsKnownFromElsewhere(t *testing.T) {
	j := newFakeJob(t, 3, 3, "")
	dir := t.TempDir()
	mustFetch(t, j, dir, publisher.FetchOptions{})
	mustVerify(t, dir, publisher.VerifyOptions{ResultRoot: j.root(0), ReduceRoot: j.root(1)})
	for _, o := range []publisher.VerifyOptions{{ResultRoot: j.root(1)}, {ReduceRoot: j.root(0)}} {
		if r, err := publisher.Verify(t.Context(), dir, o); !errors.Is(err, publisher.ErrNotVerified) || len(r.Problems) != 1 {
			t.Errorf("%+v: got %v, %v, want one problem", o, err, r.Problems)
		}
	}
}

// TestAForgerCannotKeepTheRoots rebuilds a whole folder around a changed
// result, with every checksum right: only the roots tell.
func TestAForgerCannotKeepTheRoots(t *testing.T) {
	honest := newFakeJob(t, 3, 0, "")
	forged := newFakeJob(t, 3, 0, "")
	forged.levels[0][1].files["stdout"] = "level 0 task 9\n"
	dir := t.TempDir()
	mustFetch(t, forged, dir, publisher.FetchOptions{})
	mustVerify(t, dir, publisher.VerifyOptions{})
	if _, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{ResultRoot: honest.root(0)}); !errors.Is(err, publisher.ErrNotVerified) {
		t.Errorf("got %v, want ErrNotVerified", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := publisher.DecodeManifest(b)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(m *publisher.Manifest){
		"root":   func(m *publisher.Manifest) { m.ResultRoot, m.Levels[0].Root = honest.root(0), honest.root(0) },
		"failed": func(m *publisher.Manifest) { m.Levels[0].Failed = 1 },
		"spec":   func(m *publisher.Manifest) { m.Spec.Seed++ },
		"name":   func(m *publisher.Manifest) { m.Name = "x" },
		"tasks": func(m *publisher.Manifest) {
			m.Levels[0].Tasks, m.Levels[0].Root, m.ResultRoot = 4, task.Digest{}, task.Digest{}
		},
		"levels": func(m *publisher.Manifest) {
			m.Levels = append(m.Levels, m.Levels[0])
			m.Levels[1].Level, m.Levels[1].Results, m.ReduceRoot = 1, "results-1.ndjson", m.ResultRoot
		},
	} {
		changed := *m
		changed.Levels = slices.Clone(m.Levels)
		change(&changed)
		b, err := changed.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "manifest.json"), b, 0o644); err != nil {
			t.Fatal(err)
		}
		if r, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{ResultRoot: honest.root(0)}); !errors.Is(err, publisher.ErrNotVerified) {
			t.Errorf("%s: got %v, %v, want ErrNotVerified", name, err, r)
		}
	}
}

func TestVerifyListsAHundredProblems(t *testing.T) {
	j := newFakeJob(t, 250, 0, "")
	dir := t.TempDir()
	mustFetch(t, j, dir, publisher.FetchOptions{})
	if err := os.RemoveAll(filepath.Join(dir, "tasks")); err != nil {
		t.Fatal(err)
	}
	r, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{})
	if len(r.Problems) != 100 || r.More != 400 || !strings.Contains(fmt.Sprint(err), "and 499 more problems") {
		t.Errorf("got %d problems, %d more, %v, want 100 and 400", len(r.Problems), r.More, err)
	}
}

func TestVerifyOfNoFolder(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Join(dir, "missing")} {
		if _, err := publisher.Verify(t.Context(), d, publisher.VerifyOptions{}); !errors.Is(err, publisher.ErrManifest) {
			t.Errorf("%s: got %v, want ErrManifest", d, err)
		}
	}
	for _, content := range []string{"", "{}", "[", `{"format":2}`, strings.Repeat(" ", 5<<20)} {
		if err := os.WriteFile(filepath.Join(dir, "manifest.json"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{})
		if !errors.Is(err, publisher.ErrNotVerified) || len(r.Problems) != 1 || r.Problems[0].File != "manifest.json" {
			t.Errorf("manifest %.20q: got %v, %+v, want one problem of manifest.json", content, err, r)
		}
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	j := newFakeJob(t, 3, 0, task.CollectConcat)
	dir := t.TempDir()
	mustFetch(t, j, dir, publisher.FetchOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := publisher.Verify(ctx, dir, publisher.VerifyOptions{}); !errors.Is(err, context.Canceled) || errors.Is(err, publisher.ErrNotVerified) {
		t.Errorf("got %v, want the context's end", err)
	}
}

func TestVerifyChangesNothing(t *testing.T) {
	j := newFakeJob(t, 2, 0, "")
	dir := t.TempDir()
	mustFetch(t, j, dir, publisher.FetchOptions{})
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	mustVerify(t, dir, publisher.VerifyOptions{})
	after, err := os.ReadDir(dir)
	if err != nil || len(after) != len(before) {
		t.Errorf("got %v, %v, want %v", after, err, before)
	}
}

// TestTheLongestLine fetches a task with as many files, of as long names, as
// there may be, and reads a line that is too long.
func TestTheLongestLine(t *testing.T) {
	j := newFakeJob(t, 1, 0, "")
	files := map[string]string{}
	for i := range task.MaxOutputFiles {
		files[fmt.Sprintf("out/%s%04d", strings.Repeat("x", task.MaxPathBytes-4), i)] = ""
	}
	j.levels[0][0].files = files
	dir := t.TempDir()
	mustFetch(t, j, dir, publisher.FetchOptions{})
	if r := mustVerify(t, dir, publisher.VerifyOptions{ResultRoot: j.root(0)}); r.Files != task.MaxOutputFiles {
		t.Errorf("got %d files, want %d", r.Files, task.MaxOutputFiles)
	}
	for _, size := range []int{publisher.MaxResultLine, publisher.MaxResultLine + 1, 3 * publisher.MaxResultLine} {
		line := bytes.Repeat([]byte(" "), size)
		line[size-1] = '\n'
		_, err := publisher.ReadResults(line, 1)
		if tooLong := strings.Contains(fmt.Sprint(err), "it has more than"); err == nil || tooLong != (size > publisher.MaxResultLine) {
			t.Errorf("a line of %d bytes: got %v", size, err)
		}
	}
}

func FuzzManifest(f *testing.F) {
	j := newFakeJob(f, 2, 2, "")
	dir := f.TempDir()
	if _, err := fetch(j, dir, publisher.FetchOptions{}); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1,"finished":false,"outputs":"all"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, damaged, err := publisher.DecodeManifest(b)
		if err != nil {
			if !errors.Is(err, publisher.ErrManifest) {
				t.Errorf("error %v is no ErrManifest", err)
			}
			return
		}
		again, err := m.Encode()
		if err != nil || bytes.Equal(again, b) != (damaged == nil) {
			t.Errorf("damaged: %v, and it encodes as %s, %v", damaged, again, err)
		}
	})
}

func FuzzResults(f *testing.F) {
	j := newFakeJob(f, 3, 0, "")
	j.levels[0][1] = output{failed: true}
	dir := f.TempDir()
	if _, err := fetch(j, dir, publisher.FetchOptions{}); err != nil {
		f.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "results-0.ndjson"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		lines, err := publisher.ReadResults(b, 3)
		if again := publisher.EncodeResults(lines); !bytes.HasPrefix(b, again) || err == nil && len(again) != len(b) {
			t.Errorf("read %v, %v, which is written as %s", lines, err, again)
		}
	})
}
