package publisher_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sheafgrid/sheaf/publisher"
	"github.com/sheafgrid/sheaf/task"
)

func TestZZScale(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip()
	}
	for _, c := range []task.Collect{task.CollectFiles, task.CollectConcat} {
		j := newFakeJob(t, 100_000, 0, c)
		for i := range j.levels[0] {
			delete(j.levels[0][i].files, "out/data/m.bin")
		}
		dir := filepath.Join(t.TempDir(), "x")
		s := time.Now()
		mustFetch(t, j, dir, publisher.FetchOptions{})
		fmt.Println(c, "fetch", time.Since(s))
		s = time.Now()
		mustVerify(t, dir, publisher.VerifyOptions{})
		fmt.Println(c, "verify", time.Since(s))
		s = time.Now()
		mustFetch(t, j, dir, publisher.FetchOptions{})
		fmt.Println(c, "again", time.Since(s))
	}
	// one huge file
	j := newFakeJob(t, 1, 0, "")
	j.levels[0][0].files["out/data/m.bin"] = strings.Repeat("x", 1<<29)
	dir := t.TempDir()
	s := time.Now()
	mustFetch(t, j, dir, publisher.FetchOptions{})
	fmt.Println("512MiB fetch", time.Since(s))
	s = time.Now()
	mustVerify(t, dir, publisher.VerifyOptions{})
	fmt.Println("512MiB verify", time.Since(s))
}

func TestZZYaml(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip()
	}
	for name, text := range map[string]string{
		"flow":   strings.Repeat("[", 1<<20-10),
		"map":    strings.Repeat("{a: ", (1<<20-10)/4),
		"block":  strings.Repeat("- ", 1<<19-10),
		"key":    strings.Repeat("? ", 1<<19-10),
		"keys":   func() string { var b strings.Builder; for i := 0; b.Len() < 1<<20-20; i++ { fmt.Fprintf(&b, "k%d: 1\n", i) }; return b.String() }(),
		"grid":   "project: p\nprogram: a.wasm\nsplit:\n  grid:\n    a: [" + strings.Repeat("1,", 500000) + "]\n",
		"spaces": strings.Repeat(" ", 1<<20-1),
		"hashes": strings.Repeat("#\n", 1<<19-1),
		"quotes": "a: \"" + strings.Repeat("\\x41", 1<<18-10) + "\"",
		"longname": strings.Repeat("a", 1<<19) + ": 1",
		"indent": func() string { var b strings.Builder; for i := 0; b.Len() < 1<<20-2000; i++ { b.WriteString(strings.Repeat(" ", i) + "a:\n") }; return b.String() }(),
		"anchors": strings.Repeat("&a ", 1<<18),
		"comments": strings.Repeat("a: 1 # x\n", 1<<16),
		"errs": "args: [" + strings.Repeat("[],", 300000) + "]",
	} {
		s := time.Now()
		_, err := publisher.ParseJobFile([]byte(text), "j", "/x")
		m := fmt.Sprint(err)
		fmt.Printf("%s %v %.120q len %d\n", name, time.Since(s), m, len(m))
	}
}

// helper: fetch forever slowly, to be killed
func TestZZChild(t *testing.T) {
	dir := os.Getenv("ZZDIR")
	if dir == "" {
		t.Skip()
	}
	j := newFakeJob(t, 400, 20, task.Collect(os.Getenv("ZZC")))
	j.before = func(int) error { time.Sleep(200 * time.Microsecond); return nil }
	_, err := publisher.Fetch(context.Background(), j, j.id, dir, publisher.FetchOptions{})
	fmt.Println(err)
}

func TestZZKill(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip()
	}
	for _, c := range []task.Collect{task.CollectFiles, task.CollectConcat} {
		dir := filepath.Join(t.TempDir(), "x")
		for i := range 25 {
			cmd := exec.Command(os.Args[0], "-test.run", "TestZZChild")
			cmd.Env = append(os.Environ(), "ZZDIR="+dir, "ZZC="+string(c))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Duration(5+i*2) * time.Millisecond)
			cmd.Process.Kill()
			cmd.Wait()
			if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err == nil {
				_, err := publisher.Verify(t.Context(), dir, publisher.VerifyOptions{})
				fmt.Println(i, err)
			}
		}
		j := newFakeJob(t, 400, 20, c)
		f := mustFetch(t, j, dir, publisher.FetchOptions{})
		fmt.Println(c, f.Files, f.Reused)
		mustVerify(t, dir, publisher.VerifyOptions{})
	}
}

func TestZZFull(t *testing.T) {
	dir := os.Getenv("ZZFULL")
	if dir == "" {
		t.Skip()
	}
	for _, c := range []task.Collect{task.CollectFiles, task.CollectConcat} {
		j := newFakeJob(t, 40, 0, c)
		for i := range j.levels[0] {
			j.levels[0][i].files["stdout"] = strings.Repeat(fmt.Sprint(i), 100_000)
		}
		d := filepath.Join(dir, string(c))
		_, err := fetch(j, d, publisher.FetchOptions{})
		fmt.Println(c, err)
		e, _ := os.ReadDir(d)
		fmt.Println(e)
		fill := filepath.Join(dir, "fill")
		os.Remove(fill)
		f, err := fetch(j, d, publisher.FetchOptions{})
		if err != nil { t.Error(err); continue }
		fmt.Println(f.Files, f.Reused)
		mustVerify(t, d, publisher.VerifyOptions{})
		os.RemoveAll(d)
		os.WriteFile(fill, make([]byte, 4<<20), 0o644)
	}
}
