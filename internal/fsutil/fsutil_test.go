package fsutil_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/sheafgrid/sheaf/internal/fsutil"
)

func TestWriteFileAtomicReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	for _, want := range []string{"first", "", strings.Repeat("long ", 100_000), "last"} {
		if err := fsutil.WriteFileAtomic(path, []byte(want), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Fatalf("read %d bytes (%v), want %d", len(got), err, len(want))
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); runtime.GOOS != "windows" && got != 0o640 {
		t.Errorf("mode %v, want -rw-r-----", got)
	}
	wantOnly(t, dir, "key")
}

func TestWriteFileAtomicLeavesNothingWhenItFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := fsutil.WriteFileAtomic(path, []byte("x"), 0o600)
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("over a directory: got %v, want an error that names %s", err, path)
	}
	wantOnly(t, dir, "taken")
	missing := filepath.Join(dir, "missing", "file")
	if err := fsutil.WriteFileAtomic(missing, nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing directory: got %v, want ErrNotExist", err)
	}
}

func TestMkdirAllSync(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	for range 2 {
		if err := fsutil.MkdirAllSync(deep, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(deep); err != nil || !info.IsDir() {
		t.Errorf("stat: %v, want a directory", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fsutil.MkdirAllSync(file, 0o700); err == nil || !strings.Contains(err.Error(), "in the way") {
		t.Errorf("over a file: got %v, want an error that says a file is in the way", err)
	}
	if err := fsutil.SyncDir(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("sync of a missing directory: got %v, want ErrNotExist", err)
	}
}

func TestLockInOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	release, err := fsutil.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = fsutil.Lock(path)
	if !errors.Is(err, fsutil.ErrLocked) || !strings.Contains(err.Error(), "this process") || !strings.Contains(err.Error(), path) {
		t.Errorf("second lock: got %v, want ErrLocked that names the file and this process", err)
	}
	for range 2 {
		if err := release(); err != nil {
			t.Errorf("release: %v", err)
		}
	}
	release, err = fsutil.Lock(path)
	if err != nil {
		t.Fatalf("after release: %v", err)
	}
	_ = release()
}

const holdEnv = "FSUTIL_TEST_HOLD"

// TestLockHolder is the other process of TestLockOutlivesNobody.
func TestLockHolder(t *testing.T) {
	path := os.Getenv(holdEnv)
	if path == "" {
		t.Skip("runs only as a child")
	}
	if _, err := fsutil.Lock(path); err != nil {
		t.Fatal(err)
	}
	fmt.Println("held")
	select {}
}

func TestLockOutlivesNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLockHolder$")
	child.Env = append(os.Environ(), holdEnv+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatalf("child said %q (%v), want held", line, err)
	}
	_, err = fsutil.Lock(path)
	if want := fmt.Sprintf("in use by process %d", child.Process.Pid); !errors.Is(err, fsutil.ErrLocked) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want ErrLocked with %q", err, want)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	release, err := fsutil.Lock(path)
	if err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	_ = release()
}

func TestLockFileOfStrangeContent(t *testing.T) {
	for _, text := range []string{"", "not a number", "-7", strings.Repeat("9", 10_000)} {
		path := filepath.Join(t.TempDir(), "lock")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		release, err := fsutil.Lock(path)
		if err != nil {
			t.Fatalf("content %.20q: %v", text, err)
		}
		if runtime.GOOS != "windows" { // there nobody else may write while it is held
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := fsutil.Lock(path); !errors.Is(err, fsutil.ErrLocked) || !strings.Contains(err.Error(), "by another process") {
				t.Errorf("content %.20q: got %v, want ErrLocked by another process", text, err)
			}
		}
		_ = release()
	}
	if _, err := fsutil.Lock(t.TempDir()); err == nil {
		t.Error("a directory was locked as a file")
	}
}

func TestIsNoSpace(t *testing.T) {
	full := &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"nil", nil, false},
		{"full disk", full, true},
		{"wrapped", fmt.Errorf("blob: %w", full), true},
		{"bad disk", &fs.PathError{Op: "write", Path: "x", Err: syscall.EIO}, false},
	} {
		if got := fsutil.IsNoSpace(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func wantOnly(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("the directory holds %v, want only %s", entries, name)
	}
}

func TestFreeAndSize(t *testing.T) {
	dir := t.TempDir()
	if free, _, err := fsutil.Space(dir); err != nil || free <= 0 {
		t.Errorf("%d bytes are free, %v; want some", free, err)
	}
	if _, _, err := fsutil.Space(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there has free space")
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if size, err := fsutil.Size(dir); err != nil || size != 1000 {
		t.Errorf("%d bytes, %v; want 1000", size, err)
	}
}
