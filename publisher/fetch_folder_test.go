package publisher_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

func TestFetchRefusesFolders(t *testing.T) {
	j := newFakeJob(t, 3, 0, "")
	other := newFakeJob(t, 3, 0, "")
	other.id = task.NewJobID(task.Key{8}, 1, 1)
	full := func(name, content string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		want    string
	}{
		{"other files", full("thesis.tex", "x"), `holds other files, such as "thesis.tex"`},
		{"files named like ours", full("stdout", "x"), `holds other files, such as "stdout"`},
		{"another job", func(t *testing.T, dir string) { mustFetch(t, other, dir, publisher.FetchOptions{}) }, "holds job " + other.id.String()},
		{"a note beside the job", func(t *testing.T, dir string) {
			mustFetch(t, j, dir, publisher.FetchOptions{})
			full("notes.txt", "x")(t, dir)
		}, `such as "notes.txt"`},
		{"a manifest of something else", full("manifest.json", "{}"), "manifest.json is damaged"},
		{"a job with another root", func(t *testing.T, dir string) {
			liar := newFakeJob(t, 3, 0, "")
			liar.levels[0][0].files["stdout"] = "a lie\n"
			mustFetch(t, liar, dir, publisher.FetchOptions{})
		}, "compare the two"},
		{"another specification", func(t *testing.T, dir string) {
			liar := newFakeJob(t, 3, 0, "")
			liar.spec.Seed = 2
			mustFetch(t, liar, dir, publisher.FetchOptions{})
		}, "another specification"},
		{"a lock that leads elsewhere", func(t *testing.T, dir string) {
			if err := os.Symlink(filepath.Join(dir, "..", "victim"), filepath.Join(dir, ".lock")); err != nil {
				t.Skipf("needs symbolic links: %v", err)
			}
		}, "no ordinary file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "folder")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			c.prepare(t, dir)
			before := tree(t, dir)
			j.downloads()
			_, err := fetch(j, dir, publisher.FetchOptions{})
			if !errors.Is(err, publisher.ErrFolder) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrFolder: %s", err, c.want)
			}
			if after := tree(t, dir); !reflect.DeepEqual(before, after) || len(j.downloads()) != 0 {
				t.Errorf("the folder was changed from %v to %v", before, after)
			}
			if _, err := os.Stat(filepath.Join(dir, "..", "victim")); err == nil {
				t.Error("a file outside of the folder was made")
			}
		})
	}
}

func TestFetchIgnoresDesktopLitter(t *testing.T) {
	j := newFakeJob(t, 2, 0, "")
	dir := t.TempDir()
	for _, name := range []string{".DS_Store", "tasks/.DS_Store", "tasks/0000000001/Thumbs.db"} {
		if strings.HasPrefix(name, "tasks") {
			mustFetch(t, j, dir, publisher.FetchOptions{})
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mustVerify(t, dir, publisher.VerifyOptions{})
}

func TestTwoFetchesOfOneFolder(t *testing.T) {
	j := newFakeJob(t, 2, 0, "")
	dir := t.TempDir()
	j.before = func(call int) error {
		if call == 1 {
			if _, err := fetch(newFakeJob(t, 2, 0, ""), dir, publisher.FetchOptions{}); !errors.Is(err, publisher.ErrFolder) || !strings.Contains(err.Error(), "another fetch") {
				t.Errorf("a second fetch meanwhile: got %v, want ErrFolder", err)
			}
		}
		return nil
	}
	mustFetch(t, j, dir, publisher.FetchOptions{})
	mustVerify(t, dir, publisher.VerifyOptions{})
}

// TestFetchFollowsNoLinks puts links into a half fetched folder, where the next
// fetch writes.
func TestFetchFollowsNoLinks(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"tasks", "is no folder"},
		{"tasks/0000000001", "is no folder"},
		{"tasks/0000000001/stdout", ""},
		{"stdout.part", ""},
		{"stdout", ""},
		{"results-0.ndjson", ""},
		{"spec.bin", ""},
		{".parts", ""},
	} {
		for _, inside := range []bool{false, true} {
			j := newFakeJob(t, 2, 0, task.CollectFiles)
			if strings.HasPrefix(c.name, "stdout") {
				j.spec.Collect = task.CollectConcat
			}
			base := t.TempDir()
			dir, victim := filepath.Join(base, "dir"), filepath.Join(base, "victim")
			target := victim
			if inside {
				target = "victim"
			}
			j.before = func(int) error { return errNetwork }
			if _, err := fetch(j, dir, publisher.FetchOptions{}); !errors.Is(err, errNetwork) {
				t.Fatal(err)
			}
			at := filepath.Join(dir, filepath.FromSlash(c.name))
			if err := os.RemoveAll(at); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, at); err != nil {
				t.Skipf("needs symbolic links: %v", err)
			}
			if err := os.Mkdir(victim, 0o755); err != nil {
				t.Fatal(err)
			}
			j.before = nil
			_, err := fetch(j, dir, publisher.FetchOptions{})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s is a link: got %v, want %q", c.name, err, c.want)
			}
			if left, _ := os.ReadDir(victim); len(left) != 0 {
				t.Errorf("%s is a link: %v was written through it", c.name, left)
			}
			if c.want == "" {
				mustVerify(t, dir, publisher.VerifyOptions{})
			}
		}
	}
}
