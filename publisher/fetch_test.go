package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sheafgrid/sheaf/protocol"
	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

func fetch(j *fakeJob, dir string, o publisher.FetchOptions) (*publisher.Fetched, error) {
	return publisher.Fetch(context.Background(), j, j.id, dir, o)
}

func mustFetch(t *testing.T, j *fakeJob, dir string, o publisher.FetchOptions) *publisher.Fetched {
	t.Helper()
	f, err := fetch(j, dir, o)
	if err != nil {
		t.Fatalf("fetch: %v", err)
	}
	return f
}

func mustVerify(t *testing.T, dir string, o publisher.VerifyOptions) *publisher.Report {
	t.Helper()
	r, err := publisher.Verify(t.Context(), dir, o)
	if err != nil {
		t.Fatalf("verify: %v\nproblems: %v", err, r)
	}
	return r
}

// tree lists a folder's files with their contents, without what describes them.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		name = filepath.ToSlash(name)
		if name != "manifest.json" && name != "spec.bin" && !strings.HasPrefix(name, "results-") {
			files[name] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFetchCountsFailedReductions(t *testing.T) {
	j := newFakeJob(t, 5, 2, task.CollectFiles)
	j.levels[1][0] = output{failed: true}
	j.levels[2][0] = output{exit: 5, files: map[string]string{"stderr": "nothing here\n"}}
	dir := t.TempDir()
	if got := mustFetch(t, j, dir, publisher.FetchOptions{}); got.Unreduced != 2 || got.Failed+got.Errors+got.Empty != 0 {
		t.Errorf("fetch: got %+v, want 2 of the reduction, and no others", got)
	}
	if r := mustVerify(t, dir, publisher.VerifyOptions{}); r.Unreduced != 2 || r.Failed+r.Errors+r.Empty != 0 {
		t.Errorf("verify: got %+v, want 2 of the reduction, and no others", r)
	}
}

func TestFetchLaysFilesOut(t *testing.T) {
	j := newFakeJob(t, 5, 2, task.CollectFiles)
	j.levels[0][1] = output{failed: true}
	j.levels[0][2] = output{exit: 3, files: map[string]string{"stderr": "bad input\n"}}
	j.levels[0][3] = output{}
	dir := filepath.Join(t.TempDir(), "new", "results")
	got := mustFetch(t, j, dir, publisher.FetchOptions{})
	want := map[string]string{
		"tasks/0000000000/stdout": "level 0 task 0\n", "tasks/0000000000/out/data/m.bin": "",
		"tasks/0000000002/stderr": "bad input\n",
		"tasks/0000000004/stdout": "level 0 task 4\n", "tasks/0000000004/out/data/m.bin": "4444",
		"reduced/stdout": "level 3 task 0\n", "reduced/out/data/m.bin": "",
	}
	if files := tree(t, dir); !reflect.DeepEqual(files, want) {
		t.Errorf("got  %v\nwant %v", files, want)
	}
	m := got.Manifest
	if !m.Finished || !m.Complete() || m.Job != j.id || m.ResultRoot != j.root(0) || m.ReduceRoot != j.root(3) || len(m.Levels) != 4 || m.Levels[0].Failed != 1 {
		t.Errorf("manifest: got %+v", m)
	}
	if got.Files != 7 || got.Reused != 0 || got.Reduced != 2 {
		t.Errorf("got %d files, %d reused, %d reduced, want 7, 0 and 2", got.Files, got.Reused, got.Reduced)
	}
	if got.Released != 5 || got.Failed != 1 || got.Errors != 1 || got.Empty != 1 {
		t.Errorf("got %d results, %d failed, %d errors, %d empty, want 5, 1, 1 and 1", got.Released, got.Failed, got.Errors, got.Empty)
	}
	r := mustVerify(t, dir, publisher.VerifyOptions{ResultRoot: j.root(0), ReduceRoot: j.root(3)})
	if r.Released != 5 || r.Failed != 1 || r.Errors != 1 || r.Empty != 1 || r.Reduced != 2 || r.Files != 7 || r.Bytes != got.Bytes {
		t.Errorf("report: got %+v, want 5 results, 1 failed, 1 error, 7 files", r)
	}
}

func TestFetchConcatenates(t *testing.T) {
	j := newFakeJob(t, 4, 0, task.CollectConcat)
	j.levels[0][1] = output{failed: true}
	j.levels[0][3].files["stderr"] = "note"
	dir := t.TempDir()
	mustFetch(t, j, dir, publisher.FetchOptions{})
	want := map[string]string{
		"stdout":                          "level 0 task 0\nlevel 0 task 2\nlevel 0 task 3\n",
		"tasks/0000000000/out/data/m.bin": "", "tasks/0000000002/out/data/m.bin": "22", "tasks/0000000003/out/data/m.bin": "333",
		"tasks/0000000003/stderr": "note",
	}
	if files := tree(t, dir); !reflect.DeepEqual(files, want) {
		t.Errorf("got  %v\nwant %v", files, want)
	}
	mustVerify(t, dir, publisher.VerifyOptions{ResultRoot: j.root(0)})
}

func TestFetchOnlyReduced(t *testing.T) {
	for _, collect := range []task.Collect{task.CollectFiles, task.CollectConcat} {
		j := newFakeJob(t, 5, 4, collect)
		dir := t.TempDir()
		mustFetch(t, j, dir, publisher.FetchOptions{OnlyReduced: true})
		if got := tree(t, dir); len(got) != 2 || got["reduced/stdout"] != "level 2 task 0\n" {
			t.Errorf("got %v, want the reduced outputs alone", got)
		}
		r := mustVerify(t, dir, publisher.VerifyOptions{ResultRoot: j.root(0), ReduceRoot: j.root(2)})
		if r.Released != 5 || r.Files != 2 {
			t.Errorf("report: got %+v, want 5 results and 2 files", r)
		}
		j.downloads()
		f := mustFetch(t, j, dir, publisher.FetchOptions{})
		if f.Reused != 2 || f.Files != 12 {
			t.Errorf("all of it afterwards: got %d files, %d reused, want 12 and 2", f.Files, f.Reused)
		}
		mustVerify(t, dir, publisher.VerifyOptions{})
		if _, err := fetch(j, dir, publisher.FetchOptions{OnlyReduced: true}); !errors.Is(err, publisher.ErrFolder) {
			t.Errorf("only the reduced ones again: got %v, want ErrFolder", err)
		}
	}
	if _, err := fetch(newFakeJob(t, 5, 0, ""), t.TempDir(), publisher.FetchOptions{OnlyReduced: true}); err == nil {
		t.Error("a job without a reduction: got no error")
	}
}

func TestFetchOfALargeJobGoesPageByPage(t *testing.T) {
	j := newFakeJob(t, 2000, 50, task.CollectConcat)
	j.page = 7
	for i := range j.levels[0] {
		delete(j.levels[0][i].files, "out/data/m.bin")
	}
	dir := t.TempDir()
	last := publisher.Progress{}
	f := mustFetch(t, j, dir, publisher.FetchOptions{Progress: func(p publisher.Progress) {
		if p.Files < last.Files || p.Bytes < last.Bytes || p.Results < last.Results {
			t.Errorf("progress went back from %+v to %+v", last, p)
		}
		last = p
	}})
	if last.Results != 2041 || last.AllResults != 2041 || last.Files != last.AllFiles || last.Bytes != last.AllBytes || last.Files != f.Files {
		t.Errorf("progress at the end: got %+v, want all of it and %d files", last, f.Files)
	}
	mustVerify(t, dir, publisher.VerifyOptions{ResultRoot: j.root(0), ReduceRoot: j.root(2)})
}

func TestFetchOfAnUnfinishedJob(t *testing.T) {
	for _, state := range []string{"cancelled", "running", "something new"} {
		for _, collect := range []task.Collect{task.CollectFiles, task.CollectConcat} {
			j := newFakeJob(t, 6, 3, collect)
			j.state, j.page = state, 1
			for _, h := range []string{"0/0", "0/3", "0/4"} {
				j.hidden[h] = true
			}
			j.levels = j.levels[:1] // the reduction was not opened
			dir := t.TempDir()
			f := mustFetch(t, j, dir, publisher.FetchOptions{})
			m := f.Manifest
			if m.Complete() || m.State != state || m.Levels[0].Released != 3 || len(m.Levels) != 3 || !m.ResultRoot.IsZero() || !m.ReduceRoot.IsZero() {
				t.Errorf("%s: got %+v, want 3 of 6 results and no root", state, m)
			}
			if r := mustVerify(t, dir, publisher.VerifyOptions{}); r.Released != 3 || r.Files != 6 {
				t.Errorf("%s: got %+v, want 3 results and 6 files", state, r)
			}
			if _, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{ResultRoot: task.Sum(nil)}); !errors.Is(err, publisher.ErrNotVerified) {
				t.Errorf("with a root that cannot be computed: got %v, want ErrNotVerified", err)
			}
		}
	}
}

func TestFetchGoesOnWhenMoreIsReleased(t *testing.T) {
	for _, collect := range []task.Collect{task.CollectFiles, task.CollectConcat} {
		j := newFakeJob(t, 6, 3, collect)
		all := j.levels
		j.state, j.levels, j.hidden["0/1"] = "running", all[:1], true
		dir := t.TempDir()
		mustFetch(t, j, dir, publisher.FetchOptions{})
		j.downloads()
		j.state, j.levels = "done", all
		delete(j.hidden, "0/1")
		f := mustFetch(t, j, dir, publisher.FetchOptions{})
		got := j.downloads()
		if collect == task.CollectFiles && f.Reused != 10 {
			t.Errorf("got %d outputs reused, want 10; fetched again: %v", f.Reused, got)
		}
		if !f.Manifest.Complete() {
			t.Errorf("got %+v, want all of it", f.Manifest)
		}
		mustVerify(t, dir, publisher.VerifyOptions{ResultRoot: j.root(0), ReduceRoot: j.root(2)})
	}
}

func TestFetchAgainTakesWhatIsRight(t *testing.T) {
	for _, collect := range []task.Collect{task.CollectFiles, task.CollectConcat} {
		j := newFakeJob(t, 4, 4, collect)
		dir := t.TempDir()
		first := mustFetch(t, j, dir, publisher.FetchOptions{})
		before := tree(t, dir)
		j.downloads()
		j.result = func(uint8, *protocol.ResultView) {
			t.Error("results were asked for again, and the root of those here is right")
		}
		again := mustFetch(t, j, dir, publisher.FetchOptions{})
		if d := j.downloads(); len(d) != 0 || again.Reused != first.Files {
			t.Errorf("%s: fetched again %v, reused %d; want none and %d", collect, d, again.Reused, first.Files)
		}
		// Damage of each kind is mended, and nothing else is fetched.
		damage := []struct {
			name string
			do   func(path string) error
			want []string
		}{
			{"tasks/0000000002/out/data/m.bin", func(p string) error { return os.WriteFile(p, []byte("XX"), 0o644) }, []string{"0/2/out/data/m.bin"}},
			{"tasks/0000000002/out/data/m.bin", os.Remove, []string{"0/2/out/data/m.bin"}},
			{"reduced/stdout", func(p string) error { return os.Truncate(p, 3) }, []string{"1/0/stdout"}},
			{"spec.bin", os.Remove, nil},
			{"manifest.json", func(p string) error {
				b, err := os.ReadFile(p)
				return errors.Join(err, os.WriteFile(p, []byte(strings.Replace(string(b), `"replicate": 2`, `"replicate": 3`, 1)), 0o644))
			}, nil},
		}
		if collect == task.CollectConcat {
			damage = append(damage, []struct {
				name string
				do   func(path string) error
				want []string
			}{
				{"stdout", func(p string) error { return os.Truncate(p, 20) }, []string{"0/1/stdout", "0/2/stdout", "0/3/stdout"}},
				{"stdout", func(p string) error { return os.Truncate(p, 200) }, nil},
				{"stdout", func(p string) error {
					return os.WriteFile(p, []byte("level 0 task 0\nlevel 0 task X\nlevel 0 task 2\nlevel 0 task 3\n"), 0o644)
				}, []string{"0/1/stdout"}},
				{"stdout", os.Remove, []string{"0/0/stdout", "0/1/stdout", "0/2/stdout", "0/3/stdout"}},
			}...)
		}
		for _, d := range damage {
			if err := d.do(filepath.Join(dir, filepath.FromSlash(d.name))); err != nil {
				t.Fatal(err)
			}
			if _, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{}); !errors.Is(err, publisher.ErrNotVerified) {
				t.Errorf("%s damaged: verify says %v", d.name, err)
			}
			mustFetch(t, j, dir, publisher.FetchOptions{})
			if got := j.downloads(); fmt.Sprint(got) != fmt.Sprint(d.want) {
				t.Errorf("%s damaged: fetched %v, want %v", d.name, got, d.want)
			}
			mustVerify(t, dir, publisher.VerifyOptions{})
		}
		if after := tree(t, dir); !reflect.DeepEqual(after, before) {
			t.Errorf("got  %v\nwant %v", after, before)
		}
	}
}

// TestFetchCanBeInterruptedAnywhere lets the network fail at the first call,
// at the second, and so on, until nothing fails any more.
func TestFetchCanBeInterruptedAnywhere(t *testing.T) {
	for _, collect := range []task.Collect{task.CollectFiles, task.CollectConcat} {
		j := newFakeJob(t, 6, 3, collect)
		dir := t.TempDir()
		total := 0
		for i := 1; ; i++ {
			j.calls = 0
			j.before = func(call int) error {
				if call == 2 {
					return errNetwork
				}
				return nil
			}
			_, err := fetch(j, dir, publisher.FetchOptions{Parallel: 1})
			total += len(j.downloads())
			if err == nil {
				break
			}
			if !errors.Is(err, errNetwork) {
				t.Fatalf("fetch %d: got %v, want the network's error", i, err)
			}
			if r, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{}); !errors.Is(err, publisher.ErrNotVerified) || !strings.Contains(err.Error(), "interrupted") {
				t.Errorf("verify of half a fetch: got %v, %v, want that it was interrupted", r, err)
			}
			if i > 50 {
				t.Fatal("no end in sight")
			}
		}
		mustVerify(t, dir, publisher.VerifyOptions{ResultRoot: j.root(0), ReduceRoot: j.root(2)})
		if entries, _ := os.ReadDir(dir); len(entries) != map[task.Collect]int{task.CollectFiles: 7, task.CollectConcat: 8}[collect] {
			t.Errorf("%s: left %v", collect, entries)
		}
		if total > 14+14 {
			t.Errorf("%d downloads for 14 outputs, one of two failing: what was there was not reused", total)
		}
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	j := newFakeJob(t, 20, 0, "")
	ctx, cancel := context.WithCancel(t.Context())
	j.before = func(call int) error {
		if call == 3 {
			cancel()
		}
		return nil
	}
	dir := t.TempDir()
	if _, err := publisher.Fetch(ctx, j, j.id, dir, publisher.FetchOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's end", err)
	}
	mustFetch(t, j, dir, publisher.FetchOptions{})
}

func TestFetchBelievesNothing(t *testing.T) {
	list := func(names ...string) func(uint8, *protocol.ResultView) {
		return func(_ uint8, v *protocol.ResultView) {
			v.Files = nil
			for _, n := range names {
				v.Files = append(v.Files, task.OutputFile{Name: n, Size: 1, Digest: task.Sum([]byte("x"))})
			}
			v.Files.Sort()
			v.Output = v.Files.Digest()
		}
	}
	first := func(change func(*protocol.ResultView)) func(uint8, *protocol.ResultView) {
		return func(_ uint8, v *protocol.ResultView) {
			if v.Index == 0 {
				change(v)
			}
		}
	}
	for _, c := range []struct {
		name string
		lie  func(j *fakeJob)
		want string
	}{
		{"another job", func(j *fakeJob) { j.view = func(v *protocol.JobView) { v.Job[0] ^= 1 } }, "it describes job"},
		{"a project that is no name", func(j *fakeJob) { j.view = func(v *protocol.JobView) { v.Project = "\x1b[2J" } }, "project"},
		{"levels that are not there", func(j *fakeJob) { j.view = func(v *protocol.JobView) { v.Levels = append(v.Levels, v.Levels[0]) } }, "levels"},
		{"another number of tasks", func(j *fakeJob) { j.view = func(v *protocol.JobView) { v.Levels[0].Tasks++ } }, "tasks"},
		{"another root", func(j *fakeJob) { j.view = func(v *protocol.JobView) { v.ResultRoot[0] ^= 1 } }, "it states the result root as"},
		{"another root of a level", func(j *fakeJob) { j.view = func(v *protocol.JobView) { v.Levels[1].Root[0] ^= 1 } }, "it states the root of level 1"},
		{"a root of half the results", func(j *fakeJob) {
			j.view = func(v *protocol.JobView) { v.State, v.ResultRoot = "running", task.Sum(nil) }
			j.hidden["0/1"] = true
		}, "not all results are there"},
		{"done with half the results", func(j *fakeJob) { j.hidden["0/1"] = true }, "the job is done, and level 0 has 2 results for its 3 tasks"},
		{"names upwards", func(j *fakeJob) { j.result = list("out/../../x") }, "list of outputs is not valid"},
		{"an absolute name", func(j *fakeJob) { j.result = list("/etc/passwd") }, "list of outputs is not valid"},
		{"a name outside of out", func(j *fakeJob) { j.result = list("manifest.json") }, "list of outputs is not valid"},
		{"a file that is a folder", func(j *fakeJob) { j.result = list("out/a", "out/a-b", "out/a/b") }, "is a file and a folder"},
		{"a file that is a folder on some machines", func(j *fakeJob) { j.result = list("out/A", "out/a/b") }, "is a file and a folder"},
		{"an output that was not voted on", func(j *fakeJob) { j.result = first(func(v *protocol.ResultView) { v.Files[0].Size++ }) }, "the accepted result is"},
		{"an unknown verdict", func(j *fakeJob) { j.result = first(func(v *protocol.ResultView) { v.Verdict = "perhaps" }) }, "perhaps"},
		{"an exit that cannot be", func(j *fakeJob) { j.result = first(func(v *protocol.ResultView) { v.Exit = 77 }) }, "exit 77"},
		{"a failed task with outputs", func(j *fakeJob) { j.result = first(func(v *protocol.ResultView) { v.Verdict = "failed" }) }, "it failed and yet has a result"},
		{"less than nothing", func(j *fakeJob) { j.result = first(func(v *protocol.ResultView) { v.Wrong = -1 }) }, "less than nothing"},
		{"an index beyond", func(j *fakeJob) { j.result = func(_ uint8, v *protocol.ResultView) { v.Index += 3 } }, "the level has 3 tasks"},
		{"the same index again", func(j *fakeJob) { j.result = func(_ uint8, v *protocol.ResultView) { v.Index = 0 } }, "there twice"},
		{"results from before the page", func(j *fakeJob) { j.page = 1; j.result = func(_ uint8, v *protocol.ResultView) { v.Index = 0 } }, "is in the page from task 1 on"},
		{"pages without end", func(j *fakeJob) {
			j.answer = func(_ uint8, p *protocol.ResultPage) { p.Results, p.Next, p.Done = nil, 0, false }
		}, "goes on at task 0"},
		{"a page too large", func(j *fakeJob) {
			j.answer = func(_ uint8, p *protocol.ResultPage) { p.Results = make([]protocol.ResultView, protocol.MaxPage+1) }
		}, "at most 4096 were asked for"},
		{"other bytes", func(j *fakeJob) {
			j.body = func(_ uint8, _ uint64, s string) io.Reader { return strings.NewReader(strings.Repeat("x", len(s))) }
		}, "the result says"},
		{"bytes missing", func(j *fakeJob) {
			j.body = func(_ uint8, _ uint64, s string) io.Reader { return strings.NewReader(s[:len(s)/2]) }
		}, "bytes of"},
		{"bytes without end", func(j *fakeJob) { j.body = func(uint8, uint64, string) io.Reader { return &zeros{} } }, "more than the"},
	} {
		for _, collect := range []task.Collect{task.CollectFiles, task.CollectConcat} {
			t.Run(c.name+"/"+string(collect), func(t *testing.T) {
				j := newFakeJob(t, 3, 3, collect)
				c.lie(j)
				dir := t.TempDir()
				_, err := fetch(j, dir, publisher.FetchOptions{})
				if !errors.Is(err, publisher.ErrAnswer) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want ErrAnswer: %s", err, c.want)
				}
				if _, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{}); err == nil {
					t.Error("the folder verifies all the same")
				}
			})
		}
	}
}

func TestFetchKeepsNoStrangeText(t *testing.T) {
	j := newFakeJob(t, 1, 0, "")
	j.levels[0][0] = output{failed: true}
	j.state = "running"
	j.view = func(v *protocol.JobView) { v.ResultRoot, v.Levels[0].Root = task.Digest{}, task.Digest{} }
	j.result = func(_ uint8, v *protocol.ResultView) {
		v.Why, v.Ended = "a\x1b[2J\u202eb\xff"+strings.Repeat("x", 5000), "\x07"
	}
	dir := t.TempDir()
	mustFetch(t, j, dir, publisher.FetchOptions{})
	b, err := os.ReadFile(filepath.Join(dir, "results-0.ndjson"))
	if err != nil || len(b) > 1500 || strings.ContainsAny(string(b), "\x1b\u202e\x07") || !strings.Contains(string(b), `"ended":"failed"`) {
		t.Errorf("got %q, %v, want clean and short text", b, err)
	}
	mustVerify(t, dir, publisher.VerifyOptions{})
}

func TestFetchPassesTheSourcesErrorsOn(t *testing.T) {
	j := newFakeJob(t, 3, 0, "")
	j.body = func(_ uint8, _ uint64, s string) io.Reader {
		return io.MultiReader(strings.NewReader(s[:len(s)/2]), iotest.ErrReader(errNetwork))
	}
	if _, err := fetch(j, t.TempDir(), publisher.FetchOptions{}); !errors.Is(err, errNetwork) || errors.Is(err, publisher.ErrAnswer) {
		t.Errorf("got %v, want the network's error", err)
	}
}
