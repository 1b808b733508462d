package task_test

import (
	"strings"
	"testing"

	"github.com/sheafgrid/sheaf/task"
)

func TestCheckPath(t *testing.T) {
	for _, ok := range []string{"a", "data.csv", "a/b/c.txt", "Größe/naïve.txt", ".hidden", "console", "a b"} {
		if err := task.CheckPath(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{
		"", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a/.", "c:x", `a\b`, "a\x00b", "a\nb", "con", "NUL.txt", "a/Com1",
		"a.", "a ", " a", "what?", "\xff", strings.Repeat("a", 256), strings.Repeat("a/", 16) + "a", "a\u202eb",
	} {
		if task.CheckPath(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestCheckHandle(t *testing.T) {
	for _, ok := range []string{"a", "digits", "my-project-2", "9"} {
		if err := task.CheckHandle(ok); err != nil {
			t.Errorf("%q: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "-a", "a-", "a--b", "A", "a_b", "a b", "a/b", strings.Repeat("a", 41), "ä"} {
		if task.CheckHandle(bad) == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestIDsReadWhatTheyWrite(t *testing.T) {
	j := task.NewJobID(task.Key{9}, 1, 2)
	if got, err := task.ParseJobID(j.String()); err != nil || got != j {
		t.Errorf("job %s: %v, %v", j, got, err)
	}
	if j == task.NewJobID(task.Key{9}, 1, 3) || j == task.NewJobID(task.Key{9}, 2, 2) || j == task.NewJobID(task.Key{8}, 1, 2) {
		t.Error("two requests name the same job")
	}
	k := task.Key{1, 2, 255}
	if got, err := task.ParseKey(k.String()); err != nil || got != k {
		t.Errorf("key %s: %v, %v", k, got, err)
	}
	c := task.ClusterID{1, 255}
	if got, err := task.ParseClusterID(c.String()); err != nil || got != c {
		t.Errorf("cluster %s: %v, %v", c, got, err)
	}
	d := task.Sum(nil)
	if got, err := task.ParseDigest(d.String()); err != nil || got != d {
		t.Errorf("digest %s: %v, %v", d, got, err)
	}
	for _, bad := range []string{"", "0", "zz", strings.Repeat("=", 43), strings.Repeat("A", 44)} {
		if _, err := task.ParseKey(bad); err == nil {
			t.Errorf("key %q was accepted", bad)
		}
		if _, err := task.ParseJobID(bad); err == nil {
			t.Errorf("job %q was accepted", bad)
		}
		if _, err := task.ParseDigest(bad); err == nil {
			t.Errorf("digest %q was accepted", bad)
		}
	}
}
